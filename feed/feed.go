// Package feed turns other people's lists into evidence, and fetches them.
//
//	format, err := feed.Lookup("urlhaus-csv")
//	…
//	for record, err := range format.Read(file, feed.Options{Now: now}) {
//		if lineErr, ok := errors.AsType[*feed.LineError](err); ok {
//			malformed++ // the line is skipped, the reading goes on
//			continue
//		}
//		if err != nil {
//			return err // a *RefusedError, or the file could not be read
//		}
//		batch = append(batch, record)
//	}
//
// A list may be plain, or packed by gzip, bzip2 or zip; which it is, is seen
// from its first bytes. Whatever is read is hostile: the length of a line, the
// unpacked size and what is held in memory are bounded.
//
// A URL that is no longer on a list is not thereby good, so nothing is ever
// said of what a list has dropped.
package feed

import (
	"cmp"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"time"

	"headlight.example/evidence"
	"headlight.example/netmap"
)

// Bounds on what is read.
const (
	// MaxLine is the longest line, or JSON element, in bytes without its end.
	// The longest in a year of seven lists was 7,834; browsers stop at 2 MB,
	// link.Parse well before that.
	MaxLine = 64 << 10
	// DefaultMaxHeld bounds the records that are held to be put in order of
	// time, unless Options says otherwise: a top list of a million, ten times
	// what URLhaus and PhishTank have, and about 250 MB.
	DefaultMaxHeld = 1 << 20
	// DefaultMaxBytes bounds the unpacked size unless Options says otherwise.
	// Memory does not depend on it; time does: a minute or two.
	DefaultMaxBytes = 4 << 30
)

// Format is a form that lists come in. The formats are values of this package:
// see [Formats] and [Lookup].
type Format struct {
	// Name is what users write: "urlhaus-csv".
	Name string
	// Doc is a line for people: what it is, and where such lists are found.
	Doc string
	// Rater is whose word the list is, unless Options names another:
	// "feed/urlhaus". "" where the list names its raters itself.
	Rater string
	// Assertion is what being listed means, unless the list or Options says
	// otherwise. Zero for a form that any kind of list may have.
	Assertion evidence.Assertion
	// NeedsAssertion: Options.Assertion must be given.
	NeedsAssertion bool
	// Dated: the lines carry the time at which they were said. The others are
	// dated Options.Now.
	Dated bool

	// elements: JSON, read element by element instead of line by line.
	elements bool
	// finish, if set, is given all records before any is yielded, to order or
	// complete them. Up to Options.MaxHeld are then in memory.
	finish func(*Options, []evidence.Record)
	// parser makes what reads the lines of one list.
	parser func(*Options) parseFunc[evidence.Record]
}

// Formats gives all formats, sorted by name.
func Formats() []Format { return slices.Clone(formats) }

var formats = sorted(
	openphish, urls,
	urlhausCSV, urlhausJSON, phishtankCSV, phishtankJSON,
	hosts, domains, ips, toplist,
	events,
)

func sorted(list ...Format) []Format {
	slices.SortFunc(list, func(a, b Format) int { return cmp.Compare(a.Name, b.Name) })
	return list
}

// Lookup finds a format by its name. The error names the nearest known one.
func Lookup(name string) (Format, error) {
	best, distance := "", len(name)+1
	for _, f := range formats {
		if f.Name == name {
			return f, nil
		}
		d := editDistance(strings.ToLower(name), f.Name)
		if name != "" && strings.HasPrefix(f.Name, name) {
			d = 0 // "urlhaus" means "urlhaus-csv" more than "openphish"
		}
		if d < distance {
			best, distance = f.Name, d
		}
	}
	if best == "" || distance > len(best)/2 {
		return Format{}, fmt.Errorf("format %q is not known: `headlight formats` lists those that are", name)
	}
	return Format{}, fmt.Errorf("format %q is not known: did you mean %q?", name, best)
}

// editDistance is Levenshtein's, over bytes; for names of a few letters.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		above := row[0] // the cell above and to the left
		row[0] = i + 1
		for j := range len(b) {
			change := above
			if a[i] != b[j] {
				change++
			}
			above = row[j+1]
			row[j+1] = min(change, above+1, row[j]+1)
		}
	}
	return row[len(b)]
}

// Options say how a list is to be understood. The zero value of each is a
// default that works, but for Assertion where the format needs one.
type Options struct {
	// Rater is whose word the list is; "" means the format's own. An event
	// stream names its raters itself; with Rater set, all that it says is the
	// word of this one, so that a stream from elsewhere speaks for nobody else.
	Rater string
	// Assertion is what being listed means; zero means the format's own.
	Assertion evidence.Assertion
	// Now dates the lines of lists that carry no dates, and bounds those that
	// do; zero means the present.
	Now time.Time
	// Lifetime is after how long the word is taken back by itself; zero: never.
	Lifetime time.Duration
	// Bucket, if not zero, is the rank that a top list gives to all its names:
	// 1000 for "the first thousand, in no order".
	Bucket uint32
	// Key seals the links that were only seen (sightings of an event stream).
	// Without it, only their hosts are told.
	Key *evidence.Key
	// Networks says to which network an address belongs that a link was seen
	// at (sightings of an event stream); nil knows none.
	Networks *netmap.Map
	// MaxBytes bounds the unpacked size; zero means DefaultMaxBytes.
	MaxBytes int64
	// MaxHeld bounds the records of a list that must be held whole; zero means
	// DefaultMaxHeld.
	MaxHeld int
}

// complete puts the defaults of f in place of what is not set.
func (o *Options) complete(f *Format) error {
	o.Rater = cmp.Or(o.Rater, f.Rater)
	o.Assertion = cmp.Or(o.Assertion, f.Assertion)
	if f.NeedsAssertion && o.Assertion == 0 {
		return fmt.Errorf("format %s does not say what its lists are of: name it (phishing, malware, unwanted, spam or benign)", f.Name)
	}
	if o.Now.IsZero() {
		o.Now = time.Now()
	}
	o.Now = o.Now.UTC().Truncate(time.Millisecond)
	o.MaxBytes = cmp.Or(o.MaxBytes, DefaultMaxBytes)
	o.MaxHeld = cmp.Or(o.MaxHeld, DefaultMaxHeld)
	return nil
}

// maxAhead is how far a list may run ahead of our clock before its dates are
// taken for mistakes: a day, since some write local time and call it UTC.
const maxAhead = 24 * time.Hour

// record is one sentence of the list, said at time t.
func (o *Options) record(s evidence.Subject, a evidence.Assertion, t time.Time) (evidence.Record, error) {
	if t.After(o.Now.Add(maxAhead)) {
		return evidence.Record{}, fmt.Errorf("dated %s, which is to come", t.Format(time.DateOnly))
	}
	r := evidence.Record{Time: t, Rater: o.Rater, Subject: s, Assertion: a, Count: 1}
	if o.Lifetime > 0 {
		r.Expires = t.Add(o.Lifetime)
	}
	return r, r.Validate()
}

// Read yields what the list in r says, in order of time where the list is
// dated, else in its own order. It can be ranged over once.
//
// A malformed line yields a *LineError and the reading goes on; the record
// beside it is zero. Any other error is the last thing that is yielded:
// a *RefusedError if the list is mostly malformed or not of this format, a
// *SizeError if it is too big, or what r returned.
//
// Nothing is yielded before the first 1,000 lines have been read and found
// good enough, so a caller that appends as it reads appends nothing of a file
// that is something else; [Check] looks at all of it. Formats whose lists are
// newest first (URLhaus, PhishTank) are held whole, up to Options.MaxHeld records.
func (f Format) Read(r io.Reader, o Options) iter.Seq2[evidence.Record, error] {
	return func(yield func(evidence.Record, error) bool) {
		if err := o.complete(&f); err != nil {
			yield(evidence.Record{}, err)
			return
		}
		g := &gate[evidence.Record]{yield: yield}
		if f.finish != nil {
			g.whole = o.MaxHeld
			g.finish = func(records []evidence.Record) { f.finish(&o, records) }
		}
		read(r, o.MaxBytes, f.elements, f.parser(&o), g)
	}
}

// Summary counts what a list holds.
type Summary struct {
	Records   int
	Malformed int        // lines that were skipped
	First     *LineError // the first of them
}

// Check reads all of a list and keeps nothing: it returns what Read would end
// with, and counts. With it a list can be refused as a whole before a word of
// it is appended.
func (f Format) Check(r io.Reader, o Options) (Summary, error) {
	var s Summary
	for _, err := range f.Read(r, o) {
		if err == nil {
			s.Records++
			continue
		}
		bad, ok := err.(*LineError)
		if !ok {
			return s, err
		}
		s.Malformed++
		if s.First == nil {
			s.First = bad
		}
	}
	return s, nil
}
