package jetstream_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"headlight.example/evidence"
)

// Three nodes in this process, on one disk: each Append is synced three times there.
func BenchmarkAppend(b *testing.B) {
	for _, test := range []struct{ appenders, records int }{{1, 1}, {64, 1}, {1, 1000}, {16, 1000}} {
		b.Run(fmt.Sprintf("%d_appenders/%d_records", test.appenders, test.records), func(b *testing.B) {
			c := startCluster(b, 3)
			rs := make([]evidence.Record, test.records)
			for i := range rs {
				rs[i] = record(i)
			}
			for _, n := range c.node {
				awaitReady(b, n)
			}
			b.ResetTimer()
			var done atomic.Int64
			var wg sync.WaitGroup
			for i := range test.appenders {
				wg.Go(func() {
					for done.Add(1) <= int64(b.N) {
						if _, err := c.node[i%3].Append(b.Context(), rs...); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N*test.records)/b.Elapsed().Seconds(), "records/s")
		})
	}
}

func BenchmarkClaim(b *testing.B) {
	for _, claimants := range []int{1, 64} {
		b.Run(fmt.Sprintf("%d_claimants", claimants), func(b *testing.B) {
			c := startCluster(b, 3)
			for _, n := range c.node {
				awaitReady(b, n)
			}
			b.ResetTimer()
			var done atomic.Int64
			var wg sync.WaitGroup
			for i := range claimants {
				wg.Go(func() {
					for n := done.Add(1); n <= int64(b.N); n = done.Add(1) {
						if ours, err := c.node[i%3].Claim(b.Context(), fmt.Sprint(n), time.Minute); err != nil || !ours {
							b.Error(ours, err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "claims/s")
		})
	}
}

// Reading a log from the beginning, on the node's own disk. Small appends share messages.
func BenchmarkFollow(b *testing.B) {
	for _, size := range []int{1, 1000} {
		b.Run(fmt.Sprintf("appends_of_%d", size), func(b *testing.B) {
			c := startCluster(b, 3)
			rs := make([]evidence.Record, size)
			for i := range rs {
				rs[i] = record(i)
			}
			messages := 20_000
			if size > 1 {
				messages = 1000
			}
			var wg sync.WaitGroup
			for range 64 {
				wg.Go(func() {
					for range messages / 64 {
						if _, err := c.node[0].Append(b.Context(), rs...); err != nil {
							b.Error(err)
						}
					}
				})
			}
			wg.Wait()
			all := messages / 64 * 64 * size
			b.ReportAllocs()
			for b.Loop() {
				n := 0
				for es, err := range c.node[1].Follow(b.Context(), 0) {
					if err != nil {
						b.Fatal(err)
					}
					if n += len(es); n == all {
						break
					}
				}
			}
			b.ReportMetric(float64(b.N*all)/b.Elapsed().Seconds(), "records/s")
		})
	}
}
