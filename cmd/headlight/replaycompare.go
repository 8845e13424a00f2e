package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/BurntSushi/toml"

	"headlight.example"
	"headlight.example/evidence"
	"headlight.example/internal/scoring"
	"headlight.example/link"
	"headlight.example/reputation"
)

// modelConfig is a file of the model's numbers, each with its default.
type modelConfig struct {
	Root       float64 `toml:"root"`
	KappaAbove float64 `toml:"kappa_above"`
	KappaOwn   float64 `toml:"kappa_own"`
	Learns     bool    `toml:"learns"`
	Doubt      float64 `toml:"doubt"`
	Rate       float64 `toml:"rate"`
	SlowRate   float64 `toml:"slow_rate"`
	Alpha      float64 `toml:"alpha"`
	SlowAlpha  float64 `toml:"slow_alpha"`
	Beta       float64 `toml:"beta"`
	Lambda1    float64 `toml:"lambda1"`
	Lambda2    float64 `toml:"lambda2"`
}

func loadModel(name string) (reputation.Model, error) {
	c := modelConfig(reputation.DefaultModel())
	text, err := os.ReadFile(name)
	if err != nil {
		return reputation.Model{}, err
	}
	meta, err := toml.NewDecoder(bytes.NewReader(text)).Decode(&c)
	if syntax, ok := errors.AsType[toml.ParseError](err); ok {
		return reputation.Model{}, fmt.Errorf("%s:%d: %s", name, syntax.Position.Line, tomlReason(syntax))
	}
	if err != nil {
		return reputation.Model{}, fmt.Errorf("%s: %w", name, err)
	}
	if unknown := meta.Undecoded(); len(unknown) > 0 {
		return reputation.Model{}, fmt.Errorf("%s: no number of the model is called %q%s", name, unknown[0], didYouMean(unknown[0].String(), modelKeys()))
	}
	m := reputation.Model(c)
	if err := m.Validate(); err != nil {
		return m, fmt.Errorf("%s: %w", name, err)
	}
	return m, nil
}

func modelKeys() []string {
	return []string{"root", "kappa_above", "kappa_own", "learns", "doubt", "rate", "slow_rate", "alpha", "slow_alpha", "beta", "lambda1", "lambda2"}
}

// modelDefaults lists the names with their defaults.
func modelDefaults() string {
	var b bytes.Buffer
	if err := toml.NewEncoder(&b).Encode(modelConfig(reputation.DefaultModel())); err != nil {
		panic(err) // eleven numbers
	}
	return strings.ReplaceAll(strings.TrimSpace(b.String()), "\n", ", ")
}

// comparison is what "replay -policy F -model F -json" prints.
type comparison struct {
	Entries uint64 `json:"entries"`
	// Now and Then are how well scores at first sight foretold what became of the
	// links that were seen, by the numbers in use and by those of the files.
	Now  foretold `json:"now"`
	Then foretold `json:"then"`
	// Links is how many were judged under both at the end of the log: those that
	// somebody reported, and the front pages of hosts that were seen.
	Links   int            `json:"links"`
	Moves   map[string]int `json:"moves"` // "unknown → suspicious": how many
	Changes []levelChange  `json:"changes"`
	Seconds float64        `json:"seconds"`
}

type foretold struct {
	Good    int                `json:"good"`
	Bad     int                `json:"bad"`
	AUC     *float64           `json:"auc"` // null if there are not both
	TPRAt   map[string]float64 `json:"tpr_at_fpr"`
	LogLoss *float64           `json:"log_loss"`
	ECE     *float64           `json:"ece"`
}

type levelChange struct {
	Link      string  `json:"link"`
	From      level   `json:"from"`
	To        level   `json:"to"`
	ScoreFrom float64 `json:"score_from"`
	ScoreTo   float64 `json:"score_to"`
}

// maxCompared bounds the links that are judged under both: of more, the first.
const maxCompared = 1 << 20

// comparer folds one log twice and judges what it names under both.
type comparer struct {
	policy [2]*reputation.Policy // in use, and of the file
	table  [2]*reputation.Table
	seen   [2][]scoring.Sample
	links  map[string]link.Link // by URL
}

func newComparer(key *evidence.Key, now, then *reputation.Policy, m *reputation.Model) *comparer {
	c := &comparer{policy: [2]*reputation.Policy{now, then}, links: make(map[string]link.Link)}
	c.table[0] = reputation.NewTable(key)
	c.table[1] = c.table[0]
	if m != nil {
		c.table[1] = reputation.NewTableOf(key, *m)
	}
	for i, t := range c.table {
		if i == 0 || t != c.table[0] {
			t.Watch(func(o reputation.Outcome) {
				c.seen[i] = append(c.seen[i], scoring.Sample{Score: o.Score, Bad: o.Bad})
			})
		}
	}
	return c
}

// collect notes what a record names, to be judged at the end.
func (c *comparer) collect(r *evidence.Record) {
	if len(c.links) == maxCompared {
		return
	}
	url := r.Subject.Key
	switch r.Subject.Kind {
	case evidence.URL:
	case evidence.Sealed, evidence.Host:
		url = r.Subject.Host() + "/"
	default:
		return
	}
	if _, ok := c.links[url]; ok {
		return
	}
	if l, err := link.Parse("http://" + url); err == nil {
		c.links[l.URL()] = l
	}
}

func (c *comparer) result(now time.Time) *comparison {
	r := &comparison{Moves: make(map[string]int), Changes: []levelChange{}, Links: len(c.links)}
	if c.table[0] == c.table[1] {
		c.seen[1] = c.seen[0]
	}
	r.Now, r.Then = foretell(c.seen[0]), foretell(c.seen[1])
	for _, url := range slices.Sorted(maps.Keys(c.links)) {
		l := c.links[url]
		from, to := c.table[0].Judge(l, c.policy[0], now), c.table[1].Judge(l, c.policy[1], now)
		if from.Level == to.Level {
			continue
		}
		r.Moves[from.Level.String()+" → "+to.Level.String()]++
		r.Changes = append(r.Changes, levelChange{"http://" + url, level(from.Level), level(to.Level), from.Score, to.Score})
	}
	slices.SortStableFunc(r.Changes, func(a, b levelChange) int {
		return cmp.Or(cmp.Compare(max(b.From, b.To), max(a.From, a.To)), cmp.Compare(b.To, a.To), cmp.Compare(b.ScoreTo, a.ScoreTo))
	})
	return r
}

func foretell(samples []scoring.Sample) foretold {
	s := scoring.New(slices.Clone(samples))
	f := foretold{Good: s.Good(), Bad: s.Bad(), TPRAt: map[string]float64{}}
	if f.Good == 0 || f.Bad == 0 {
		return f
	}
	auc, loss := s.AUC(), s.LogLoss()
	_, ece := s.Calibration(15)
	f.AUC, f.LogLoss, f.ECE = &auc, &loss, &ece
	f.TPRAt["1%"], f.TPRAt["0.1%"] = s.At(.01).TPR, s.At(.001).TPR
	return f
}

// compareOptions are the flags of replay that make it a comparison.
type compareOptions struct {
	policy, model string
	limit         int
	json          bool
}

func (o *compareOptions) run(ctx context.Context, e *env, p *place, d *logDir) error {
	start := time.Now()
	cfg, err := p.load()
	if err != nil {
		return err
	}
	now, err := cfg.policy()
	if err != nil {
		return err
	}
	then := now
	if o.policy != "" {
		other, err := LoadConfig(o.policy)
		if err != nil {
			return err
		}
		if then, err = other.policy(); err != nil {
			return err
		}
	}
	var m *reputation.Model
	if o.model != "" {
		model, err := loadModel(o.model)
		if err != nil {
			return fmt.Errorf("read model: %w", err)
		}
		m = &model
	}
	base, err := headlight.RestoreBase(d.dir, d.key)
	if err != nil {
		return err
	}
	if base.Applied() > 0 {
		return fmt.Errorf("the log was trimmed: its first %s entries are in the file base, folded for good, and cannot be folded another way", thousands(base.Applied()))
	}
	c := newComparer(d.key, now, then, m)
	var last time.Time
	bar := e.newLateProgress("replaying", "entries")
	defer bar.end()
	entries, total := uint64(0), d.Last()
	for en, err := range d.Entries(ctx, 0) {
		if err != nil {
			return err
		}
		c.table[0].Apply(en)
		if c.table[1] != c.table[0] {
			c.table[1].Apply(en)
		}
		c.collect(&en.Record)
		if last.Before(en.Time) {
			last = en.Time
		}
		if entries++; entries%(1<<14) == 0 {
			bar.fold(en.Seq, total)
		}
	}
	bar.end()
	r := c.result(last)
	r.Entries, r.Seconds = entries, time.Since(start).Seconds()
	if o.json {
		return json.NewEncoder(e.out).Encode(r)
	}
	r.print(e.out, o.limit)
	return nil
}

func (r *comparison) print(o *output, limit int) {
	o.printf("%s entries, %.1f s\n\n", thousands(r.Entries), r.Seconds)
	o.printf("%s\n", o.bold("What scores at first sight foretold:"))
	t := &table{columns: []column{{name: ""}, {name: "GOOD", right: true}, {name: "BAD", right: true}, {name: "AUC", right: true},
		{name: "TPR@1%", right: true}, {name: "@0.1%", right: true}, {name: "LOG LOSS", right: true}, {name: "ECE", right: true}}, indent: 2}
	for _, row := range []struct {
		name string
		f    foretold
	}{{"in use", r.Now}, {"by the files", r.Then}} {
		f := row.f
		cells := []cell{{text: row.name}, {text: thousands(int64(f.Good))}, {text: thousands(int64(f.Bad))}}
		if f.AUC == nil {
			cells = append(cells, cell{text: "–"}, cell{text: "–"}, cell{text: "–"}, cell{text: "–"}, cell{text: "–"})
		} else {
			for _, x := range []float64{*f.AUC, f.TPRAt["1%"], f.TPRAt["0.1%"], *f.LogLoss, *f.ECE} {
				cells = append(cells, cell{text: fmt.Sprintf("%.4f", x)})
			}
		}
		t.add(cells...)
	}
	t.print(o)
	o.printf("\n%s of %s links change their level.\n", thousands(int64(len(r.Changes))), thousands(int64(r.Links)))
	if len(r.Changes) == 0 {
		return
	}
	t = &table{bare: true, columns: []column{{right: true}, {}}, indent: 2}
	for _, move := range slices.Sorted(maps.Keys(r.Moves)) {
		t.add(cell{text: thousands(int64(r.Moves[move]))}, cell{text: move})
	}
	t.print(o)
	o.print("\n")
	t = &table{columns: []column{{name: "FROM"}, {name: "TO"}, {name: "SCORE", right: true}, {name: "LINK", flexible: true}}, indent: 2}
	for i, c := range r.Changes {
		if i == limit {
			break
		}
		t.add(cell{reputation.Level(c.From).String(), levelStyle(reputation.Level(c.From))}, cell{reputation.Level(c.To).String(), levelStyle(reputation.Level(c.To))},
			cell{text: fmt.Sprintf("%.3f → %.3f", c.ScoreFrom, c.ScoreTo)}, cell{text: printable(c.Link)})
	}
	t.print(o)
	if more := len(r.Changes) - limit; more > 0 {
		o.printf("  %s\n", o.paint(grey, fmt.Sprintf("… and %s more; see them with -limit, or all with -json", thousands(int64(more)))))
	}
}
