package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"headlight.example/feed"
	"headlight.example/reputation"
)

func TestWorstKeepsTheMostWrong(t *testing.T) {
	t.Parallel()
	const n = 5
	w := worst{n: n}
	var good, bad []mistake // all of them
	random := rand.New(rand.NewPCG(1, 2))
	for line := range uint64(600) {
		j := judged{line: line, score: float64(random.IntN(40)) / 40, month: fmt.Sprintf("2026-0%d", 1+random.IntN(3))}
		isBad := random.IntN(2) == 0
		w.offer(&feed.Event{URL: "http://a.example/"}, &j, isBad, &reputation.Verdict{}, nil)
		switch m := (mistake{Line: line, Score: j.score}); {
		case j.month == "2026-02":
		case isBad:
			bad = append(bad, m)
		default:
			good = append(good, m)
		}
	}
	slices.SortStableFunc(good, func(a, b mistake) int { return -compareScores(a, b) })
	slices.SortStableFunc(bad, compareScores)
	got := w.list([]string{"2026-02"})
	for _, tt := range []struct {
		name      string
		got, want []mistake
	}{{"good", got.Good, good[:n]}, {"bad", got.Bad, bad[:n]}} {
		same := slices.EqualFunc(tt.got, tt.want, func(a, b mistake) bool { return a.Line == b.Line && a.Score == b.Score })
		if !same {
			t.Errorf("%s: got %+v, want %+v", tt.name, tt.got, tt.want)
		}
	}
	if none := (&worst{}).list(nil); none != nil {
		t.Errorf("none are wanted: got %+v", none)
	}
}

func compareScores(a, b mistake) int {
	switch {
	case a.Score < b.Score:
		return -1
	case a.Score > b.Score:
		return 1
	}
	return 0
}

func TestDefanged(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"https://a.example/b.html":       "hxxps://a[.]example/b[.]html",
		"HTTP://A.example":               "hxxp://A[.]example",
		"ftp://192.0.2.1/":               "fxp://192[.]0[.]2[.]1/",
		"a.example/x?u=http://b.example": "a[.]example/x?u=hxxp://b[.]example",
		"http://a/?u=http://b":           "hxxp://a/?u=hxxp://b",
		"64496":                          "64496",
	} {
		if got := defanged(in); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
}
