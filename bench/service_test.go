package bench

import (
	"log/slog"
	"testing"

	"headlight.example"
	"headlight.example/message"
)

// BenchmarkMessage is the whole question path: text in, verdict out, with
// sightings on, as a chat server asks.
func BenchmarkMessage(b *testing.B) {
	messages := []struct {
		name string
		typ  message.Type
		text string
	}{
		{"chat_without_link", message.Text, "ok, see you at the station at 8:15 then. Bring the tickets!"},
		{"chat_with_known_link", message.Text, "did you read this? https://en.wikipedia.org/wiki/Headlamp it's long"},
		{"chat_with_unknown_link", message.Text, "did you read this? https://blog.never-seen-before.example/2026/11/a-post it's long"},
	}
	svc, err := headlight.Open(b.Context(), headlight.Config{Dir: b.TempDir(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	defer svc.Close()
	for _, m := range messages {
		b.Run(m.name, func(b *testing.B) {
			b.SetBytes(int64(len(m.text)))
			b.ReportAllocs()
			for b.Loop() {
				svc.CheckMessage(m.typ, m.text)
			}
		})
		b.Run(m.name+"/parallel", func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					svc.CheckMessage(m.typ, m.text)
				}
			})
		})
	}
}
