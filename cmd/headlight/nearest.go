package main

import (
	"slices"
	"strings"
)

// nearest gives the known word that a person most likely meant by word, or ""
// if none is near: more than one mistake in three letters is another word.
func nearest(word string, known []string) string {
	word = strings.ToLower(word)
	best, bestDistance := "", max(1, (len(word)+1)/3)+1
	for _, k := range known {
		d := distance(word, strings.ToLower(k))
		// A word cut short is meant even if much is missing: "exp" is explain.
		if len(word) >= 3 && strings.HasPrefix(k, word) {
			d = min(d, 1)
		}
		if d < bestDistance {
			best, bestDistance = k, d
		}
	}
	return best
}

// distance counts the letters that must be inserted, left out, replaced or
// swapped with their neighbour to make b of a (optimal string alignment).
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(row[j-1]+1, last[j]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}

// didYouMean names the nearest of the known words, and all of them if they are
// few enough to read.
func didYouMean(word string, known []string) string {
	if near := nearest(word, known); near != "" {
		return `; did you mean "` + near + `"?`
	}
	if len(known) > 20 {
		return ""
	}
	return "; there are " + strings.Join(slices.Sorted(slices.Values(known)), ", ")
}

func didYouMeanFlag(word string, f *flags) string {
	if near := nearest(word, slices.Collect(f.names())); near != "" {
		return "; did you mean -" + near + "?"
	}
	return ""
}
