package feed

import (
	"errors"
	"math"
	"strconv"
	"strings"

	"headlight.example/evidence"
)

// toplist reads lists of well-known names. A list without ranks is a bucket,
// "the first thousand, in no order" (Cloudflare Radar sorts its own by name):
// each of its names then has the rank of the last, the size of the bucket.
var toplist = Format{
	Name:      "toplist",
	Doc:       "popular names: rank,name (Tranco, Umbrella, Majestic), or a name a line (Radar's buckets)",
	Rater:     "feed/toplist",
	Assertion: evidence.Popular,
	finish:    fillRanks,
	parser:    toplistLines,
}

func toplistLines(o *Options) parseFunc[evidence.Record] {
	var named columns
	var row []string
	first := true
	return func(dst []evidence.Record, text string, _ int) ([]evidence.Record, error) {
		text, err := content(text)
		if err != nil {
			return dst, err
		}
		if first {
			first = false
			if named = toplistHeader(strings.ToLower(text)); named != nil {
				return dst, errNothing
			}
		}
		if row, err = splitCSV(row[:0], text); err != nil {
			return dst, err
		}
		name, rank, err := toplistRow(row, named)
		if err != nil {
			return dst, err
		}
		l, err := parseName(name)
		if err == errShared {
			return dst, errNothing // Umbrella and Radar rank "com" and "co.uk" among the rest
		}
		if err != nil {
			return dst, err
		}
		r, err := o.record(nameSubject(l), evidence.Popular, o.Now)
		if err != nil {
			return dst, err
		}
		r.Count = rank
		if o.Bucket > 0 {
			r.Count = o.Bucket
		}
		return append(dst, r), nil
	}
}

// toplistHeader gives the columns under the names that toplistRow asks for, or
// nil if the line is not a header.
func toplistHeader(line string) columns {
	for _, name := range []string{"domain", "name", "host"} {
		if c, ok := header(line, name); ok {
			c[c.index(name)] = "domain"
			for _, rank := range []string{"globalrank", "tranco_rank"} {
				if i := c.index(rank); i >= 0 && c.index("rank") < 0 {
					c[i] = "rank"
				}
			}
			return c
		}
	}
	return nil
}

// toplistRow gives the name and its rank, 0 if the row has none.
func toplistRow(row []string, named columns) (name string, rank uint32, err error) {
	var rankText string
	switch {
	case named != nil:
		name, rankText = named.of(row, "domain"), named.of(row, "rank")
	case len(row) == 1:
		name = row[0]
	default:
		rankText, name = row[0], row[1]
	}
	name = strings.TrimSpace(name)
	if rankText = strings.TrimSpace(rankText); rankText == "" && (named != nil || len(row) == 1) {
		return name, 0, nil
	}
	n, err := strconv.ParseUint(rankText, 10, 32)
	if err != nil || n == 0 {
		return "", 0, errors.New("not a rank")
	}
	return name, uint32(n), nil
}

// fillRanks gives those without a rank that of the last.
func fillRanks(_ *Options, records []evidence.Record) {
	size := uint32(min(len(records), math.MaxUint32))
	for i := range records {
		if records[i].Count == 0 {
			records[i].Count = size
		}
	}
}
