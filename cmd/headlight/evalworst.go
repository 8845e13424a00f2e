package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"headlight.example/feed"
	"headlight.example/frontend/httpapi"
	"headlight.example/reputation"
)

// worst keeps the links that were judged most wrongly, for a person to look
// at: many a false alarm is an error of the truth. How many of each kind are
// kept is n; 0 keeps none.
type worst struct {
	n int
	// Of each month at most n, most wrong first: a month may be left out later.
	months map[string]*mistakes
}

// mistakes are links that were judged against the truth, most wrong first.
type mistakes struct {
	Good []mistake `json:"good"` // good links with the highest scores
	Bad  []mistake `json:"bad"`  // bad links with the lowest scores
}

// mistake is one of them. Its names are defanged, so that nobody follows one
// by mistake.
type mistake struct {
	Line    uint64   `json:"line"`
	URL     string   `json:"url"`
	Score   float64  `json:"score"`
	Level   string   `json:"level"`
	Class   string   `json:"class"`
	Stratum string   `json:"stratum"`
	Reasons []string `json:"reasons"` // the heaviest, in words; at most shownReasons
}

const shownReasons = 3

// offer keeps a judgement if it is among the worst so far.
func (w *worst) offer(e *feed.Event, j *judged, bad bool, v *reputation.Verdict, names func(uint32) []string) {
	if w.n == 0 {
		return
	}
	month := w.months[j.month]
	if month == nil {
		month = new(mistakes)
		if w.months == nil {
			w.months = make(map[string]*mistakes)
		}
		w.months[j.month] = month
	}
	kept, order := &month.Good, byHighest
	if bad {
		kept, order = &month.Bad, byLowest
	}
	m := mistake{Line: j.line, Score: j.score, Level: j.level.String(), Class: j.class, Stratum: j.stratum}
	i, _ := slices.BinarySearchFunc(*kept, m, order)
	if i >= w.n {
		return
	}
	m.URL, m.Reasons = defanged(e.URL), []string{}
	for _, r := range v.Reasons()[:min(len(v.Reasons()), shownReasons)] {
		m.Reasons = append(m.Reasons, fmt.Sprintf("%+.2f %s: %s", r.Weight, httpapi.Sentence(&r, names(r.Raters)), defanged(r.Subject.Key)))
	}
	*kept = slices.Insert(*kept, i, m)
	*kept = (*kept)[:min(len(*kept), w.n)]
}

// byHighest puts high scores first, and of equals the earlier line.
func byHighest(a, b mistake) int {
	return cmp.Or(cmp.Compare(b.Score, a.Score), cmp.Compare(a.Line, b.Line))
}

// byLowest puts low scores first, and of equals the earlier line.
func byLowest(a, b mistake) int {
	return cmp.Or(cmp.Compare(a.Score, b.Score), cmp.Compare(a.Line, b.Line))
}

// list gives the worst of all months but the dropped ones; nil if none are wanted.
func (w *worst) list(dropped []string) *mistakes {
	if w.n == 0 {
		return nil
	}
	all := &mistakes{Good: []mistake{}, Bad: []mistake{}}
	for month, m := range w.months {
		if !slices.Contains(dropped, month) {
			all.Good, all.Bad = append(all.Good, m.Good...), append(all.Bad, m.Bad...)
		}
	}
	slices.SortFunc(all.Good, byHighest)
	slices.SortFunc(all.Bad, byLowest)
	all.Good, all.Bad = all.Good[:min(len(all.Good), w.n)], all.Bad[:min(len(all.Bad), w.n)]
	return all
}

// defanged writes a URL or a name so that nothing makes a link of it.
//
//	https://a.example/b.html → hxxps://a[.]example/b[.]html
//	ftp://192.0.2.1/         → fxp://192[.]0[.]2[.]1/
func defanged(s string) string { return defanger.Replace(s) }

var defanger = strings.NewReplacer(".", "[.]", "http://", "hxxp://", "https://", "hxxps://", "ftp://", "fxp://",
	"HTTP://", "hxxp://", "HTTPS://", "hxxps://", "FTP://", "fxp://")
