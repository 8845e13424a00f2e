package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"

	"headlight.example/evidence"
	"headlight.example/feed"
)

const (
	// importBatch is how many records are handed over together.
	importBatch = 4096
	// importAhead batches are read while others are being made durable, and
	// then share one sync: the slower the disk, the more go with each.
	importAhead = 16
	// shownMalformed lines are printed; the rest are counted.
	shownMalformed = 5
)

// importer reads lists and hands what they say to sink.
type importer struct {
	e      *env
	format feed.Format
	opts   feed.Options
	append func(ctx context.Context, records []evidence.Record) error

	total importSummary
}

// importSummary counts what became of a list.
type importSummary struct {
	File      string  `json:"file,omitzero"`
	Records   int64   `json:"records"`
	Malformed int64   `json:"malformed"`
	New       *int64  `json:"new_subjects,omitempty"` // subjects that were not known before; nil if a server counts
	Seconds   float64 `json:"seconds"`
}

func (s *importSummary) add(o importSummary) {
	s.Records += o.Records
	s.Malformed += o.Malformed
	s.Seconds += o.Seconds
}

func (s *importSummary) String() string {
	text := thousands(s.Records) + " records"
	if s.New != nil {
		text += fmt.Sprintf(", %s new subjects", thousands(*s.New))
	}
	if s.Malformed == 1 {
		text += ", 1 malformed line"
	} else {
		text += fmt.Sprintf(", %s malformed lines", thousands(s.Malformed))
	}
	text += fmt.Sprintf(", %.1f s", s.Seconds)
	if s.Seconds > 0.05 {
		text += fmt.Sprintf(" (%s/s)", thousands(int64(float64(s.Records)/s.Seconds)))
	}
	return text
}

func importCommand() *command {
	return &command{
		name: "import", group: groupLearn,
		synopsis: []string{"import -format NAME [-rater NAME] [-as ASSERTION] FILE…|-"},
		short:    "read a feed file into evidence",
		about: `Reads lists of other people ("headlight formats" says which forms it knows) and appends what they say to the log. Files may be packed by gzip, bzip2 or zip. Importing a file twice changes nothing.

A malformed line is skipped, counted, and shown with its number. A file that is mostly malformed is refused before a word of it is appended; standard input is judged by its first thousand lines.

The format "events" says of addresses to which network they belong, where the config file names tables of networks.

The format "log" reads what "headlight log export" wrote.

With -server, or if a server holds the data directory, the records go through its API in the name of the token's rater; lists of names and sightings cannot.`,
		examples: []string{
			"headlight import -format openphish feed.txt",
			"headlight import -format urlhaus-csv urlhaus.csv.zip",
			"headlight import -format domains -as malware -rater feed/ours bad.txt",
			"curl -s https://lists.example/a | headlight import -format urls -as spam -rater feed/lists -",
		},
		exits: []string{"130  stopped by SIGINT; what was appended stays, and the import may be run again"},
		prepare: func(f *flags) action {
			p := f.place()
			name := f.String("format", "", "the files' `format`")
			rater := f.String("rater", "", "whose word the list is, as role/`name` (default what the format says)")
			as := f.String("as", "", "what being listed means: phishing, malware, unwanted, spam or benign")
			lifetime := f.String("lifetime", "", "how long the word holds, such as 30d (default for ever)")
			asJSON := f.Bool("json", false, "print the summary as JSON")
			return func(ctx context.Context, e *env, files []string) error {
				im, err := newImporter(e, *name, *rater, *as, *lifetime)
				if err != nil {
					return err
				}
				if len(files) == 0 {
					return usagef("names no file; \"-\" is standard input")
				}
				return im.run(ctx, p, files, *asJSON)
			}
		},
	}
}

// logFormat names the form of "log export", which is the log's own and no
// matter of package feed.
const logFormat = "log"

// eventsFormat is the one whose lists tell of addresses that something was
// seen at, so that the tables of networks are worth their reading.
const eventsFormat = "events"

func newImporter(e *env, name, rater, as, lifetime string) (*importer, error) {
	im := &importer{e: e, opts: feed.Options{Rater: rater}}
	var err error
	switch {
	case name == "":
		return nil, usagef("needs -format; \"headlight formats\" lists those that are known")
	case name == logFormat:
		im.format.Name = logFormat
	default:
		if im.format, err = feed.Lookup(name); err != nil {
			return nil, &usageError{err: err}
		}
	}
	if rater != "" {
		if err := evidence.ValidateRater(rater); err != nil {
			return nil, usagef("flag -rater: %v", err)
		}
	}
	if as != "" {
		if im.opts.Assertion, err = parseJudgement(as); err != nil {
			return nil, usagef("flag -as: %v", err)
		}
	}
	if im.format.NeedsAssertion && im.opts.Assertion == 0 {
		return nil, usagef("format %s does not say what its lists are of: name it with -as phishing, malware, unwanted, spam or benign", name)
	}
	if lifetime != "" {
		if im.opts.Lifetime, err = parseDuration(lifetime); err != nil {
			return nil, usagef("flag -lifetime: %v", err)
		}
	}
	return im, nil
}

// judgements are the words of -as.
var judgements = []string{"phishing", "malware", "unwanted", "spam", "benign"}

// parseJudgement reads what a person may say of a link.
func parseJudgement(s string) (evidence.Assertion, error) {
	a, err := evidence.ParseAssertion(s)
	if err != nil || !a.Threat() && a != evidence.Benign {
		return 0, fmt.Errorf("%q is not a judgement%s", s, didYouMean(s, judgements))
	}
	return a, nil
}

func (im *importer) run(ctx context.Context, p *place, files []string, asJSON bool) (err error) {
	s, err := p.open(ctx, im.e, writing)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	before, err := s.subjects(ctx)
	if err != nil {
		return err
	}
	if s.svc != nil {
		im.opts.Key = s.svc.Key()
		if im.format.Name == eventsFormat {
			if im.opts.Networks, err = s.cfg.networks(); err != nil {
				return err
			}
		}
		im.append = func(ctx context.Context, records []evidence.Record) error {
			last, err := s.svc.Append(ctx, records...)
			if err == nil {
				im.e.verbosef("%d records are durable, through entry %d", len(records), last)
			}
			return err
		}
	} else {
		im.append = s.appendRecords
	}
	for _, name := range files {
		if err = im.file(ctx, name); err != nil {
			err = fmt.Errorf("%s: %w", displayName(name), err)
			break
		}
	}
	if after, statsErr := s.subjects(ctx); statsErr == nil && s.svc != nil {
		added := after - before
		im.total.New = &added
	}
	if err != nil && im.total.Records > 0 {
		im.e.notef("before that: %s", im.total.String())
		return err
	}
	if err != nil {
		return err
	}
	if asJSON {
		return json.NewEncoder(im.e.out).Encode(im.total)
	}
	im.e.out.printf("%s\n", im.total.String())
	return nil
}

// subjects counts what is in the table; 0 where a server counts.
func (s *session) subjects(ctx context.Context) (int64, error) {
	if s.svc == nil {
		return 0, nil
	}
	stats, err := s.svc.Stats(context.WithoutCancel(ctx))
	return int64(stats.Subjects), err
}

func displayName(name string) string {
	if name == "-" {
		return "standard input"
	}
	return printable(name)
}

// counting counts the bytes that were read of a file, for the progress bar.
type counting struct {
	r io.Reader
	n atomic.Int64
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n.Add(int64(n))
	return n, err
}

// openList opens a file or standard input; size is 0 if it is not known. Its
// errors do not name the file: the caller does.
func (e *env) openList(name string) (r io.Reader, size int64, whole bool, closeList func(), err error) {
	if name == "-" {
		return e.stdin, 0, false, func() {}, nil
	}
	f, err := os.Open(name)
	if path, ok := errors.AsType[*os.PathError](err); ok {
		err = path.Err
	}
	if err != nil {
		return nil, 0, false, nil, err
	}
	info, err := f.Stat()
	if err == nil && info.IsDir() {
		err = errors.New("is a directory")
	}
	if err != nil {
		f.Close()
		return nil, 0, false, nil, err
	}
	whole = info.Mode().IsRegular()
	if whole {
		size = info.Size()
	}
	return f, size, whole, func() { f.Close() }, nil
}

// file imports one list. A regular file is read twice: once to see whether it
// is mostly good, once to append it.
func (im *importer) file(ctx context.Context, name string) error {
	r, size, whole, closeList, err := im.e.openList(name)
	if err != nil {
		return err
	}
	defer closeList()
	start := time.Now()
	im.opts.Now = start
	if whole {
		if err := im.check(ctx, &counting{r: r}, size); err != nil {
			return err
		}
		if _, err := r.(io.Seeker).Seek(0, io.SeekStart); err != nil {
			return err
		}
	}
	sum, err := im.append1(ctx, &counting{r: r}, size)
	sum.Seconds = time.Since(start).Seconds()
	im.total.add(sum)
	return err
}

// records yields what the list says, whatever its form.
func (im *importer) records(r io.Reader) func(yield func(evidence.Record, error) bool) {
	if im.format.Name == logFormat {
		return exported(r)
	}
	return im.format.Read(r, im.opts)
}

// check reads the list and keeps nothing, so that one that is mostly
// malformed is refused as a whole.
func (im *importer) check(ctx context.Context, c *counting, size int64) error {
	bar := im.e.newLateProgress("checking", "records")
	defer bar.end()
	bar.total.Store(size)
	n := int64(0)
	for _, err := range im.records(c) {
		if _, ok := errors.AsType[*feed.LineError](err); err != nil && !ok {
			return err
		}
		if n++; n%importBatch == 0 {
			bar.set(c.n.Load(), n)
			if err := ctx.Err(); err != nil {
				return err
			}
		}
	}
	return nil
}

// append1 reads ahead in one goroutine while the other waits for the disk, so
// that the records stay in their order.
func (im *importer) append1(ctx context.Context, c *counting, size int64) (sum importSummary, err error) {
	bar := im.e.newProgress("importing", "records", size)
	defer bar.end()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	batches := make(chan []evidence.Record, importAhead)
	ended := make(chan error, 1)
	var malformed atomic.Int64
	go func() {
		err := im.read(ctx, c, batches, &malformed)
		close(batches)
		ended <- err
	}()
	defer func() { sum.Malformed = malformed.Load() }()
	for {
		select {
		case <-ctx.Done():
			// The reader may wait for a pipe that says nothing; it ends with us.
			return sum, ctx.Err()
		case batch, ok := <-batches:
			if !ok {
				return sum, <-ended
			}
			batch = gather(batch, batches)
			if err := im.append(ctx, batch); err != nil {
				return sum, err
			}
			sum.Records += int64(len(batch))
			bar.set(c.n.Load(), sum.Records)
		}
	}
}

// gather adds the batches that are ready.
func gather(batch []evidence.Record, batches <-chan []evidence.Record) []evidence.Record {
	for range importAhead {
		select {
		case more := <-batches: // nil once it is closed
			batch = append(batch, more...)
		default:
			return batch
		}
	}
	return batch
}

// read cuts the list into batches.
func (im *importer) read(ctx context.Context, c *counting, batches chan<- []evidence.Record, malformed *atomic.Int64) error {
	batch := make([]evidence.Record, 0, importBatch)
	send := func() error {
		if len(batch) == 0 {
			return nil
		}
		select {
		case batches <- batch:
			batch = make([]evidence.Record, 0, importBatch)
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	for record, err := range im.records(c) {
		if bad, ok := errors.AsType[*feed.LineError](err); ok {
			if n := malformed.Add(1); n <= shownMalformed {
				im.e.notef("%v", bad)
			} else if n == shownMalformed+1 {
				im.e.notef("further malformed lines are counted only")
			}
			continue
		}
		if err != nil {
			return errors.Join(err, send())
		}
		if batch = append(batch, record); len(batch) == importBatch {
			if err := send(); err != nil {
				return err
			}
		}
	}
	return send()
}

// exported yields the records of a log that was exported as JSON lines. The
// sequence is not kept: the log that takes them has its own.
func exported(r io.Reader) func(yield func(evidence.Record, error) bool) {
	return func(yield func(evidence.Record, error) bool) {
		text, err := feed.Unpack(r, feed.DefaultMaxBytes)
		if err != nil {
			yield(evidence.Record{}, err)
			return
		}
		for entry, err := range evidence.ReadLines(text) {
			// An export is written by us: a wrong line means a damaged file, and
			// ends the reading.
			if !yield(entry.Record, err) || err != nil {
				return
			}
		}
	}
}
