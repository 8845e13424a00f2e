package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"headlight.example/feed"
	"headlight.example/netmap"
	"headlight.example/reputation"
)

func evalCommand() *command {
	return &command{
		name:  "eval",
		group: groupOperate,
		synopsis: []string{
			"eval [-from TIME] [-netmap FILE,…] [-truth FILE] [-scores FILE] STREAM…",
			"eval -truth FILE [-plot FILE] [-delay TIME] [-flip SHARE] [-worst N] STREAM…",
		},
		short: "judge event streams, event by event, before learning from each",
		about: `Reads event streams (see "headlight formats") in the order of time. An event that
asks has its link judged by what was learnt from the events before it, and from
no other; then the event is learnt. Nothing is written but what the flags name:
the table lives in memory and starts from the built-in knowledge.

With -truth the judgements from TIME on are compared with what is known of the
links: area under the ROC curve, detection at fixed rates of false alarms, the
same by what was known of the link and by the kind of house that it lives in,
calibration, and beside it the exact lists (URL, host, tenant, domain) and
"additive", a filter that adds up points for what was reported around a link. Intervals
of 95 % come from drawing tenants, whose links stand or fall together; "per tenant"
counts all links of a tenant as one. Scored is
the first occurrence of a URL, at most three a tenant and day; months in which
one class is missing are left out. On a terminal this is a table, else JSON.

-delay and -flip make a stream worse than it is, to see what that costs; what is
scored stays the same. With -delay, reports and reviews are learnt so much later,
dated as of then. With -flip, a share of the URLs is chosen by their hashes; of
those that raters call a threat these reports are withheld, and each that is good
by the truth is reported once: by the rater, as the threat and as long after it
was first seen as in the last true report. Reviews and benign reports stay.`,
		examples: []string{
			"headlight eval -from 2022-01-01 -truth dns.truth.tsv.gz dns.jsonl.gz",
			"headlight eval -truth truth.tsv -worst 100 -delay 1h -plot late.svg events.jsonl",
			"headlight eval -scores scores.tsv events.jsonl",
		},
		prepare: func(f *flags) action {
			var o evalOptions
			f.Func("from", "score what is asked from this `time` on, as 2022-01-01 or 2022-01-01T08:00:00Z", o.setFrom)
			f.Func("netmap", "look the addresses that links were seen at up in these `files`, parted by commas (see netmap.files in \"headlight config\")", func(s string) error {
				o.netmap = append(o.netmap, strings.Split(s, ",")...)
				return nil
			})
			f.StringVar(&o.truth, "truth", "", "`file` of lines \"line truth\", truth being good or bad; tab-separated, plain or packed")
			f.StringVar(&o.scores, "scores", "", "write line, score, level, threat and class of each judgement to this `file`")
			f.StringVar(&o.plot, "plot", "", "draw ROC, calibration and detection by age of the tenant into this SVG `file`; needs -truth")
			f.Func("delay", "learn reports and reviews this `time` later, such as 10m or 24h", o.setDelay)
			f.Func("flip", "turn about what is said of this `share` of the URLs, up to 0.5; needs -truth", o.setFlip)
			f.IntVar(&o.worst, "worst", 0, "list the `n` good links with the highest scores, and the bad ones with the lowest, with their reasons, for review by hand; needs -truth")
			f.BoolVar(&o.table, "table", false, "print a table even if this is no terminal")
			f.BoolVar(&o.json, "json", false, "print JSON even if this is a terminal")
			return o.run
		},
	}
}

type evalOptions struct {
	from         time.Time
	delay        time.Duration
	flip         float64
	worst        int
	netmap       []string
	truth        string
	scores, plot string
	table, json  bool
}

// setFrom reads a day or a moment; a day begins in UTC.
func (o *evalOptions) setFrom(s string) (err error) {
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if o.from, err = time.Parse(layout, s); err == nil {
			return nil
		}
	}
	return errors.New("want a day such as 2022-01-01, or a time such as 2022-01-01T08:00:00Z")
}

func (o *evalOptions) setDelay(s string) (err error) {
	o.delay, err = parseDuration(s)
	if err != nil || o.delay < 0 || o.delay > maxDelay {
		return errors.New("want a time such as 10m, 24h or 7d, at most 365d")
	}
	return nil
}

const maxDelay = 365 * 24 * time.Hour // by then nobody is helped

func (o *evalOptions) setFlip(s string) (err error) {
	o.flip, err = strconv.ParseFloat(s, 64)
	if err != nil || !(o.flip >= 0 && o.flip <= .5) {
		return errors.New("want a share from 0 to 0.5: beyond that lies the contrary")
	}
	return nil
}

// check says which flags do not go together.
func (o *evalOptions) check(names []string) error {
	switch {
	case len(names) == 0:
		return usagef("at least one stream is needed")
	case len(names) > 1 && (o.truth != "" || o.scores != ""):
		return usagef("-truth and -scores go with one stream, since they name its lines")
	case o.truth == "" && (o.flip > 0 || o.worst != 0 || o.plot != ""):
		return usagef("-flip, -worst and -plot need -truth, which tells good links from bad")
	case o.worst < 0 || o.worst > maxWorst:
		return usagef("-worst: want 0 to %d", maxWorst)
	}
	return nil
}

const maxWorst = 10_000 // more than anybody reviews by hand

func (o *evalOptions) run(ctx context.Context, e *env, names []string) error {
	if err := o.check(names); err != nil {
		return err
	}
	var nets *netmap.Map
	if len(o.netmap) > 0 {
		var err error
		if nets, _, err = netmap.Load(o.netmap...); err != nil {
			return fmt.Errorf("read networks: %w", err)
		}
	}
	ev := newEvaluation(reputation.DefaultPolicy(), o.from, nets)
	ev.delay, ev.worst.n = o.delay, o.worst
	if o.truth != "" {
		var err error
		if ev.truth, err = o.readTruth(); err != nil {
			return fmt.Errorf("read truth %s: %w", o.truth, err)
		}
	}
	if o.flip > 0 {
		ev.flips = &flips{Share: o.flip}
	}
	start := time.Now()
	if err := ev.runFiles(ctx, e, names); err != nil {
		return err
	}
	seconds := time.Since(start).Seconds()
	if o.scores != "" {
		if err := createWith(o.scores, ev.writeScores); err != nil {
			return fmt.Errorf("write scores %s: %w", o.scores, err)
		}
	}
	r := ev.score()
	r.Seconds = seconds
	if o.plot != "" {
		about := printable(filepath.Base(names[0]))
		if err := createWith(o.plot, func(w io.Writer) error { return r.writeSVG(w, about) }); err != nil {
			return fmt.Errorf("draw %s: %w", o.plot, err)
		}
	}
	if o.table || e.out.terminal && !o.json {
		return r.writeTable(e.out)
	}
	out := json.NewEncoder(e.out)
	out.SetIndent("", "  ")
	return out.Encode(r)
}

func (o *evalOptions) readTruth() (map[uint64]bool, error) {
	f, err := os.Open(o.truth)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := feed.Unpack(f, feed.DefaultMaxBytes)
	if err != nil {
		return nil, err
	}
	return readTruth(text)
}
