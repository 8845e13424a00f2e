package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"headlight.example/evidence"
	"headlight.example/feed"
	"headlight.example/internal/scoring"
	"headlight.example/link"
	"headlight.example/netmap"
	"headlight.example/reputation"
)

// perTenantDay bounds the scored links of one tenant and day: without it one
// campaign of 200,000 URLs would be the score.
const perTenantDay = 3

// evaluation judges the events of a stream before it learns from them.
type evaluation struct {
	key    *evidence.Key
	table  *reputation.Table
	policy *reputation.Policy
	from   time.Time
	nets   *netmap.Map     // nil knows no network
	truth  map[uint64]bool // line → bad; nil if it is not known
	delay  time.Duration   // by which reports and reviews are learnt later
	flips  *flips          // nil: every word is learnt as it was said
	worst  worst

	events    uint64 // judged, learnt or both
	malformed int    // lines passed over
	judged    []judged
	names     map[uint64]name         // rung → what the stream has said of it
	at        map[netip.Addr]struct{} // addresses that occurred
	around    around                  // what was reported around the links
	perDay    map[tenantDay]int       // links scored
	later     later
	records   []evidence.Record // scratch
}

type tenantDay struct {
	tenant uint64
	day    int64
}

// judged is one link that was asked about, as it was judged at first sight.
type judged struct {
	line    uint64
	tenant  uint64
	score   float64
	sum     float64 // of points for reports around it: see around
	level   reputation.Level
	threat  evidence.Assertion
	class   string
	age     time.Duration // since the tenant first occurred; below 0 if it never had
	stratum string
	month   string
	lists   [len(listNames)]bool // whether the exact list held it
	scored  bool                 // the first of its URL and within the quota of its tenant
	house   bool                 // a well-known name or a platform's own root
}

// listNames are the exact lists that stand beside the model.
var listNames = [...]string{"url", "host", "tenant", "domain"}

func newEvaluation(policy *reputation.Policy, from time.Time, nets *netmap.Map) *evaluation {
	key := new(evidence.Key) // a fixed key: two runs give one result
	return &evaluation{
		key: key, table: reputation.NewTable(key), policy: policy, from: from, nets: nets,
		names:  make(map[uint64]name),
		at:     make(map[netip.Addr]struct{}),
		around: newAround(),
		perDay: make(map[tenantDay]int),
	}
}

// rungs are hashes of the names that the lists use, in the order of listNames.
type rungs [len(listNames)]uint64

const (
	urlRung = iota
	hostRung
	tenantRung
)

func (ev *evaluation) ladder(l link.Link) rungs {
	return rungs{
		ev.key.Hash(evidence.URL, l.URL()),
		ev.key.Hash(evidence.Host, l.Host()),
		ev.key.Hash(evidence.Tenant, l.Tenant()),
		ev.key.Hash(evidence.Domain, l.Domain()),
	}
}

// name is what the stream has said of a URL, host, tenant or domain.
type name struct {
	first    int64  // when it first occurred, in Unix seconds
	reports  uint32 // of threats that were learnt
	occurred bool   // false also of one that was reported of a link that is yet to occur
}

// step judges the event's link if it is asked, then learns the event or puts
// it by until its time has come. What is scored and in which stratum depends
// on the stream alone: flags that change what is learnt leave it as it is, so
// that their figures can be compared. Records are what the event says.
func (ev *evaluation) step(e *feed.Event, l link.Link, records []evidence.Record) {
	ev.events++
	ev.learnUntil(e.Time)
	names := ev.ladder(l)
	var known [len(names)]name // before this event
	for i, h := range names {
		known[i] = ev.names[h]
	}
	var seen []evidence.Record
	if e.Type == feed.Sighting {
		// Where the host is can be known before anything is said of the link.
		last := len(records) - 1
		seen = records[last:]
		ev.fold(records[:last])
	}
	if e.Ask && !e.Time.Before(ev.from) {
		ev.judge(e, l, names, &known)
	}
	ev.occur(e, names, &known)
	if e.Type == feed.Sighting {
		ev.around.learn(e, ev.around.addrs(e, l, names[hostRung]), names[hostRung], ev.nets)
		ev.fold(seen)
		if bad, ok := ev.truth[uint64(e.Line)]; ok && !bad && !known[urlRung].occurred {
			if lie, ok := ev.flips.lie(e, names[urlRung]); ok {
				ev.later.add(lie, ev.delay, l)
			}
		}
		return
	}
	if ev.flips.withhold(e, names[urlRung], known[urlRung]) {
		return
	}
	if ev.delay > 0 {
		ev.later.add(*e, ev.delay, l)
		return
	}
	ev.learn(e, l, names)
}

// learnUntil learns what was put by until now, at the latest.
func (ev *evaluation) learnUntil(now time.Time) {
	for {
		x, ok := ev.later.next(now)
		if !ok {
			return
		}
		ev.learn(&x.event, x.link, ev.ladder(x.link))
	}
}

func (ev *evaluation) judge(e *feed.Event, l link.Link, names rungs, known *[len(listNames)]name) {
	v := ev.table.Judge(l, ev.policy, e.Time)
	j := judged{
		line: uint64(e.Line), tenant: names[tenantRung], score: v.Score, level: v.Level, threat: v.Threat,
		class: class(l), stratum: ev.stratum(e, known), month: e.Time.UTC().Format("2006-01"), age: -1,
		house: slices.ContainsFunc(v.Reasons(), func(r reputation.Reason) bool { return r.Basis == reputation.WellKnown }),
	}
	if t := known[tenantRung]; t.occurred {
		j.age = max(0, e.Time.Sub(time.Unix(t.first, 0)))
	}
	for i, n := range known {
		j.lists[i] = n.reports > 0
	}
	j.sum = points(known[hostRung].reports) + points(known[tenantRung].reports) +
		ev.around.sum(ev.around.addrs(e, l, names[hostRung]), ev.nets)
	if !known[urlRung].occurred {
		day := tenantDay{names[tenantRung], e.Time.Unix() / 86400}
		if ev.perDay[day] < perTenantDay {
			ev.perDay[day]++
			j.scored = true
		}
	}
	ev.judged = append(ev.judged, j)
	if bad, ok := ev.truth[j.line]; ok && j.scored {
		ev.worst.offer(e, &j, bad, &v, ev.table.RaterNames)
	}
}

// class is the kind of house that the link lives in.
func class(l link.Link) string {
	if _, raw := l.Addr(); raw {
		return "raw address"
	}
	switch l.Platform() {
	case link.None:
		return "own domain"
	case link.CDN:
		return "CDN"
	}
	return "platform"
}

// houses are what class gives.
var houses = []string{"own domain", "platform", "CDN", "raw address"}

// strata tell how much of a link occurred in the stream before it was asked about.
var strata = []string{"host known", "tenant known", "tenant new, address known", "all new"}

func (ev *evaluation) stratum(e *feed.Event, known *[len(listNames)]name) string {
	for i, rung := range []int{hostRung, tenantRung} {
		if known[rung].occurred {
			return strata[i]
		}
	}
	for _, a := range e.Addrs {
		if _, ok := ev.at[a]; ok {
			return strata[2]
		}
	}
	return strata[3]
}

// occur notes that the link of the event was mentioned in the stream.
func (ev *evaluation) occur(e *feed.Event, names rungs, known *[len(listNames)]name) {
	for i, n := range known {
		if !n.occurred {
			n.first, n.occurred = e.Time.Unix(), true
			ev.names[names[i]] = n
		}
	}
	for _, a := range e.Addrs {
		ev.at[a] = struct{}{}
	}
}

// learn folds what a report or a review says into the table and into the exact lists.
func (ev *evaluation) learn(e *feed.Event, l link.Link, names rungs) {
	ev.around.learn(e, ev.around.addrs(e, l, names[hostRung]), names[hostRung], ev.nets)
	if reportsThreat(e) {
		for _, h := range names {
			n := ev.names[h]
			n.reports++
			ev.names[h] = n
		}
	}
	ev.records = e.Records(ev.records[:0], l, ev.key, nil)
	ev.fold(ev.records)
}

func (ev *evaluation) fold(records []evidence.Record) {
	for _, r := range records {
		ev.table.Apply(evidence.Entry{Seq: ev.table.Applied() + 1, Record: r})
	}
}

// writeScores writes a line for each link that was judged.
func (ev *evaluation) writeScores(w io.Writer) error {
	b := bufio.NewWriter(w)
	fmt.Fprintln(b, "line\tscore\tlevel\tthreat\tclass")
	for _, j := range ev.judged {
		threat := ""
		if j.threat != 0 {
			threat = j.threat.String()
		}
		fmt.Fprintf(b, "%d\t%.9g\t%s\t%s\t%s\n", j.line, j.score, j.level, threat, j.class)
	}
	return b.Flush()
}

// readTruth reads "line truth source kind", tab-separated, with a header.
func readTruth(r io.Reader) (map[uint64]bool, error) {
	truth := make(map[uint64]bool)
	in := bufio.NewScanner(r)
	for n := 1; in.Scan(); n++ {
		fields := strings.Split(in.Text(), "\t")
		if n == 1 && fields[0] == "line" {
			continue
		}
		line, err := strconv.ParseUint(fields[0], 10, 64)
		if err != nil || len(fields) < 2 || fields[1] != "good" && fields[1] != "bad" {
			return nil, fmt.Errorf("line %d: want a line number and good or bad, tab-separated", n)
		}
		truth[line] = fields[1] == "bad"
	}
	return truth, in.Err()
}

// score compares what was judged with the truth. Months in which one class is
// missing are left out and named: they would measure the calendar.
func (ev *evaluation) score() *evalReport {
	scored := make([]labelled, 0, len(ev.judged))
	months := make(map[string][2]int)
	for i := range ev.judged {
		j := &ev.judged[i]
		bad, ok := ev.truth[j.line]
		if !ok || !j.scored {
			continue
		}
		scored = append(scored, labelled{j, bad})
		m := months[j.month]
		m[btoi(bad)]++
		months[j.month] = m
	}
	r := &evalReport{Flipped: ev.flips, Events: ev.events, Malformed: ev.malformed, Asked: len(ev.judged), Subjects: ev.table.Len(), DroppedMonths: []string{}}
	if !ev.from.IsZero() {
		r.From = ev.from.UTC().Format(time.RFC3339)
	}
	if ev.delay > 0 {
		r.Delay = ev.delay.String()
	}
	for month, n := range months {
		if n[0] == 0 || n[1] == 0 {
			r.DroppedMonths = append(r.DroppedMonths, month)
		}
	}
	slices.Sort(r.DroppedMonths)
	scored = slices.DeleteFunc(scored, func(x labelled) bool { return slices.Contains(r.DroppedMonths, x.month) })
	r.fill(scored)
	r.Worst = ev.worst.list(r.DroppedMonths)
	return r
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

type labelled struct {
	*judged
	bad bool
}

func byScore(x labelled) float64 { return x.score }

func bySum(x labelled) float64 { return x.sum }

// sampleSet makes a Set of those links that are to be kept.
func sampleSet(xs []labelled, score func(labelled) float64, keep func(labelled) bool) *scoring.Set {
	var samples []scoring.Sample
	for _, x := range xs {
		if keep(x) {
			samples = append(samples, scoring.Sample{Score: score(x), Bad: x.bad, Group: x.tenant})
		}
	}
	return scoring.New(samples)
}

// createWith writes a file through f, and leaves none behind on an error.
func createWith(name string, f func(io.Writer) error) error {
	out, err := os.Create(name)
	if err != nil {
		return err
	}
	err = f(out)
	if closeErr := out.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return errors.Join(err, os.Remove(name))
	}
	return nil
}
