package bench

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"go.etcd.io/bbolt"

	"headlight.example"
	"headlight.example/evidence"
	"headlight.example/reputation"
)

// Learning, durable: how many events a second can be taken in. Run with
//
//	go test -run '^$' -bench Learn -benchtime 2s
//
// An event is a report of one URL. A counting database keeps six counters for
// it (URL, path, host, tenant, address, prefix); Headlight appends it to its
// log and counts in memory. Compare within one run.

// learnEvent gives the n-th of a series of reports, in which hosts come back.
func learnEvent(n int) evidence.Record {
	return evidence.Record{
		Time: time.UnixMilli(1700000000000 + int64(n)), Rater: "feed/openphish", Assertion: evidence.Phishing, Count: 1,
		Subject: evidence.Subject{Kind: evidence.URL, Key: learnURL(n)},
	}
}

func learnURL(n int) string {
	return "host" + strconv.Itoa(n*7919%50000) + ".example" + strconv.Itoa(n%700) + ".com/account/login/" + strconv.Itoa(n)
}

func openLog(b *testing.B, dir string) *evidence.DiskLog {
	b.Helper()
	l, err := evidence.Open(dir, evidence.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { l.Close() })
	return l
}

func perSecond(b *testing.B, events int) {
	b.ReportMetric(float64(events)/b.Elapsed().Seconds(), "events/s")
}

// BenchmarkLearn takes in batches of 1,000 events from one goroutine.
func BenchmarkLearn(b *testing.B) {
	const batch = 1000
	events := make([]evidence.Record, 200*batch)
	for i := range events {
		events[i] = learnEvent(i)
	}
	at := func(n int) []evidence.Record { n %= 200; return events[n*batch : (n+1)*batch] }

	b.Run("headlight log, fsync per 1000", func(b *testing.B) {
		l := openLog(b, b.TempDir())
		n := 0
		for ; b.Loop(); n++ {
			if _, err := l.Append(b.Context(), at(n)...); err != nil {
				b.Fatal(err)
			}
		}
		perSecond(b, n*batch)
	})
	b.Run("headlight log, fsync, 4 goroutines of 1000", func(b *testing.B) {
		l := openLog(b, b.TempDir())
		var n atomic.Int64
		b.SetParallelism(2)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := l.Append(b.Context(), at(int(n.Add(1)))...); err != nil {
					b.Error(err)
				}
			}
		})
		perSecond(b, int(n.Load())*batch)
	})
	b.Run("headlight log and table, fsync per 1000", func(b *testing.B) {
		l, table := openLog(b, b.TempDir()), reputation.NewTable(counterKey)
		n := 0
		for ; b.Loop(); n++ {
			last, err := l.Append(b.Context(), at(n)...)
			if err != nil {
				b.Fatal(err)
			}
			for i, r := range at(n) {
				table.Apply(evidence.Entry{Seq: last - batch + 1 + uint64(i), Record: r})
			}
		}
		perSecond(b, n*batch)
	})
	b.Run("headlight service: log and table in a pipeline, 4 goroutines of 1000", func(b *testing.B) {
		svc, err := headlight.Open(b.Context(), headlight.Config{Dir: b.TempDir(), Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			b.Fatal(err)
		}
		defer svc.Close()
		var n atomic.Int64
		b.SetParallelism(2)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				// The service completes records in place: each call has its own.
				if _, err := svc.Append(b.Context(), slices.Clone(at(int(n.Add(1))))...); err != nil {
					b.Error(err)
				}
			}
		})
		perSecond(b, int(n.Load())*batch)
	})
	for _, sync := range []bool{false, true} {
		b.Run(fmt.Sprintf("pebble merges, 6 keys an event, batches of 1000, sync=%v", sync), func(b *testing.B) {
			db := openCounters(b)
			n := 0
			for ; b.Loop(); n++ {
				if err := mergeEvents(db, at(n), &pebble.WriteOptions{Sync: sync}); err != nil {
					b.Fatal(err)
				}
			}
			perSecond(b, n*batch)
		})
	}
	b.Run("bbolt, 6 keys an event, batches of 1000, nosync", func(b *testing.B) {
		db, err := bbolt.Open(b.TempDir()+"/db", 0o600, &bbolt.Options{NoSync: true})
		if err != nil {
			b.Fatal(err)
		}
		defer db.Close()
		n := 0
		for ; b.Loop(); n++ {
			if err := db.Update(func(tx *bbolt.Tx) error { return countEvents(tx, at(n)) }); err != nil {
				b.Fatal(err)
			}
		}
		perSecond(b, n*batch)
	})
}

// BenchmarkLearnOne takes in single events from 64 goroutines, each durable
// before the next of its goroutine.
func BenchmarkLearnOne(b *testing.B) {
	one := func(b *testing.B, learn func(evidence.Record) error) {
		var n atomic.Int64
		b.SetParallelism(32) // times GOMAXPROCS, 2 on the machine of the README
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if err := learn(learnEvent(int(n.Add(1)))); err != nil {
					b.Error(err)
				}
			}
		})
		perSecond(b, b.N)
	}
	b.Run("headlight log", func(b *testing.B) {
		l := openLog(b, b.TempDir())
		one(b, func(r evidence.Record) error { _, err := l.Append(context.Background(), r); return err })
	})
	b.Run("pebble merges, 6 keys an event, sync", func(b *testing.B) {
		db := openCounters(b)
		one(b, func(r evidence.Record) error { return mergeEvents(db, []evidence.Record{r}, pebble.Sync) })
	})
}

// openCounters opens a Pebble of counters that add up when merged.
func openCounters(b *testing.B) *pebble.DB {
	b.Helper()
	db, err := pebble.Open(b.TempDir(), &pebble.Options{
		Logger: quietPebble{}, MemTableSize: 64 << 20, MemTableStopWritesThreshold: 4,
		Merger: &pebble.Merger{Name: "add", Merge: func(_, v []byte) (pebble.ValueMerger, error) {
			return &adder{binary.LittleEndian.Uint64(v)}, nil
		}},
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { db.Close() })
	return db
}

type quietPebble struct{}

func (quietPebble) Infof(string, ...any)      {}
func (quietPebble) Errorf(string, ...any)     {}
func (quietPebble) Fatalf(f string, v ...any) { panic(fmt.Sprintf(f, v...)) }

type adder struct{ n uint64 }

func (a *adder) MergeNewer(v []byte) error { a.n += binary.LittleEndian.Uint64(v); return nil }
func (a *adder) MergeOlder(v []byte) error { return a.MergeNewer(v) }
func (a *adder) Finish(bool) ([]byte, io.Closer, error) {
	return binary.LittleEndian.AppendUint64(nil, a.n), nil, nil
}

var counterKey = new(evidence.Key)

// keysOf gives the six counters of an event, 64-bit hashes as Headlight uses.
func keysOf(r *evidence.Record) (keys [6][8]byte) {
	u := r.Subject.Key
	host := r.Subject.Host()
	path := u[:len(host)+len("/account/")]
	n := len(u)
	for i, k := range [6]struct {
		kind evidence.Kind
		key  string
	}{{evidence.URL, u}, {evidence.Path, path}, {evidence.Host, host}, {evidence.Tenant, host[4:]},
		{evidence.Addr, u[n-2:]}, {evidence.Prefix, u[n-1:]}} {
		binary.BigEndian.PutUint64(keys[i][:], counterKey.Hash(k.kind, k.key))
	}
	return keys
}

var oneCount = binary.LittleEndian.AppendUint64(nil, 1)

func mergeEvents(db *pebble.DB, rs []evidence.Record, opts *pebble.WriteOptions) error {
	batch := db.NewBatch()
	defer batch.Close()
	for i := range rs {
		for _, k := range keysOf(&rs[i]) {
			if err := batch.Merge(k[:], oneCount, nil); err != nil {
				return err
			}
		}
	}
	return batch.Commit(opts)
}

func countEvents(tx *bbolt.Tx, rs []evidence.Record) error {
	bucket, err := tx.CreateBucketIfNotExists([]byte("counts"))
	if err != nil {
		return err
	}
	for i := range rs {
		for _, k := range keysOf(&rs[i]) {
			n := uint64(1)
			if v := bucket.Get(k[:]); v != nil {
				n += binary.LittleEndian.Uint64(v)
			}
			if err := bucket.Put(k[:], binary.LittleEndian.AppendUint64(nil, n)); err != nil {
				return err
			}
		}
	}
	return nil
}

// logOf gives a log of so many records.
func logOf(b *testing.B, records int) (l *evidence.DiskLog, dir string) {
	b.Helper()
	dir = b.TempDir()
	l = openLog(b, dir)
	batch := make([]evidence.Record, 1000)
	for n := 0; n < records; n += len(batch) {
		for i := range batch {
			batch[i] = learnEvent(n + i)
		}
		if _, err := l.Append(b.Context(), batch...); err != nil {
			b.Fatal(err)
		}
	}
	return l, dir
}

// logSizes are the logs to read; EVIDENCE_BENCH_RECORDS adds one, say 10000000.
func logSizes(b *testing.B) []int {
	s := []int{1_000_000}
	if more := os.Getenv("EVIDENCE_BENCH_RECORDS"); more != "" {
		n, err := strconv.Atoi(more)
		if err != nil {
			b.Fatal(err)
		}
		s = append(s, n)
	}
	return s
}

// BenchmarkReplay walks the whole log.
func BenchmarkReplay(b *testing.B) {
	for _, records := range logSizes(b) {
		b.Run(fmt.Sprintf("%d_records", records), func(b *testing.B) {
			l, _ := logOf(b, records)
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				for e, err := range l.Entries(b.Context(), 0) {
					if err != nil {
						b.Fatal(err)
					}
					n += int(e.Count)
				}
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "records/s")
			s, err := l.Stats(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(s.Bytes)/float64(s.Records), "B/record")
		})
	}
}

// BenchmarkAbout asks who said what of one URL, of its host, and of what is on
// its domain.
func BenchmarkAbout(b *testing.B) {
	for _, records := range logSizes(b) {
		l, _ := logOf(b, records)
		for _, kind := range []evidence.Kind{evidence.URL, evidence.Host, evidence.Domain} {
			b.Run(fmt.Sprintf("%s/%d_records", kind, records), func(b *testing.B) {
				found := 0
				for i := 0; b.Loop(); i++ {
					found += askAbout(b, l, kind, learnURL(i*1237%records))
				}
				b.ReportMetric(float64(found)/float64(b.N), "found/op")
			})
		}
	}
}

func askAbout(b *testing.B, l *evidence.DiskLog, kind evidence.Kind, url string) (found int) {
	s := evidence.Subject{Kind: evidence.URL, Key: url}
	switch host := s.Host(); kind {
	case evidence.Host:
		s = evidence.Subject{Kind: kind, Key: host}
	case evidence.Domain:
		s = evidence.Subject{Kind: kind, Key: host[strings.IndexByte(host, '.')+1:]}
	}
	for _, err := range l.About(b.Context(), s) {
		if err != nil {
			b.Fatal(err)
		}
		found++
	}
	if found == 0 {
		b.Fatalf("nothing about %v", s)
	}
	return found
}

// BenchmarkOpenLog opens a log and closes it.
func BenchmarkOpenLog(b *testing.B) {
	for _, records := range logSizes(b) {
		b.Run(fmt.Sprintf("%d_records", records), func(b *testing.B) {
			l, dir := logOf(b, records)
			if err := l.Close(); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				l, err := evidence.Open(dir, evidence.Options{Logger: slog.New(slog.DiscardHandler)})
				if err != nil {
					b.Fatal(err)
				}
				if err := l.Close(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
