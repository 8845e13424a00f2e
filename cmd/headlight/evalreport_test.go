package main

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"headlight.example/reputation"
)

func TestAgesEndBeforeTheirEnd(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	var xs []labelled
	for _, age := range []time.Duration{-1, 0, day - 1, day, 7*day - 1, 7 * day, 30*day - 1, 30 * day, 900 * day} {
		xs = append(xs, labelled{&judged{age: age, level: reputation.Dangerous}, true}, labelled{&judged{age: age}, false})
	}
	xs = append(xs, labelled{&judged{age: 0, level: reputation.Suspicious}, true}, labelled{&judged{age: 0}, true})
	var got []string
	for _, p := range agesOf(xs) {
		got = append(got, fmt.Sprintf("%s: %d good, %d bad, %v, %v", p.Age, p.Good, p.Bad, p.Suspicious, p.Dangerous))
	}
	want := []string{
		"new: 1 good, 1 bad, 1.000, 1.000",
		"< 1 d: 2 good, 4 bad, 0.750, 0.500",
		"< 7 d: 2 good, 2 bad, 1.000, 1.000",
		"< 30 d: 2 good, 2 bad, 1.000, 1.000",
		"older: 2 good, 2 bad, 1.000, 1.000",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
