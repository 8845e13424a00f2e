package jetstream_test

import (
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"

	"headlight.example/evidence"
	"headlight.example/evidence/logtest"
	"headlight.example/jetstream"
)

// foreign runs a NATS server that is not ours.
func foreign(t *testing.T, dir string, port, maxPayload int) *server.Server {
	t.Helper()
	srv, err := server.NewServer(&server.Options{
		ServerName: "foreign", Host: "127.0.0.1", Port: port, NoSigs: true, NoLog: true, MaxPayload: int32(maxPayload),
		JetStream: true, StoreDir: dir, SyncAlways: true, Username: "ann", Password: "secret",
	})
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	if !srv.ReadyForConnections(10 * time.Second) {
		t.Fatal("the server does not start")
	}
	t.Cleanup(func() { srv.Shutdown(); srv.WaitForShutdown() })
	return srv
}

func connect(t *testing.T, url, prefix string) *jetstream.Node {
	t.Helper()
	return connectReplicas(t, url, prefix, 1)
}

func connectReplicas(t *testing.T, url, prefix string, replicas int) *jetstream.Node {
	t.Helper()
	cfg := jetstream.ConnectConfig{Name: "here", Replicas: replicas, Logger: quiet()}
	n, err := jetstream.Connect(t.Context(), url, cfg.WithPrefix(prefix))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	return n
}

func address(srv *server.Server) string { return "nats://ann:secret@" + srv.Addr().String() }

func TestALogOnServersOfOthers(t *testing.T) {
	t.Parallel()
	srv := foreign(t, t.TempDir(), server.RANDOM_PORT, 9<<20)
	logtest.Run(t, func(t *testing.T, dir string) evidence.Log {
		return connect(t, address(srv), strings.NewReplacer("/", "_", ".", "_").Replace(dir[1:]))
	})
}

func TestServersOfOthersComeAndGo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	srv := foreign(t, dir, server.RANDOM_PORT, 1<<20)
	at, port := address(srv), srv.Addr().(*net.TCPAddr).Port
	n := connect(t, at, "")
	appendRecord(t, n, 0)
	awaitReady(t, n)
	if s := n.Status(); s.Nodes != nil || s.Last != 1<<16 {
		t.Errorf("got %+v", s)
	}
	srv.Shutdown()
	srv.WaitForShutdown()
	for n.Ready() == nil {
		<-time.After(20 * time.Millisecond)
	}
	if err := n.Ready(); !strings.HasPrefix(err.Error(), "no connection to NATS") {
		t.Errorf("got %v", err)
	}
	done := make(chan error)
	go func() {
		_, err := n.Append(t.Context(), record(1))
		done <- err
	}()
	foreign(t, dir, port, 1<<20)
	if err := <-done; err != nil {
		t.Errorf("an append while the server was away: %v", err)
	}
	if es := collect(t, n, 0); len(es) != 2 {
		t.Errorf("%d entries, want 2", len(es))
	}
	// What the server would refuse is said before.
	rs := make([]evidence.Record, 40_000)
	for i := range rs {
		rs[i] = record(i)
	}
	if _, err := n.Append(t.Context(), rs...); err == nil || !strings.Contains(err.Error(), "set their max_payload to 8392704") {
		t.Errorf("got %v", err)
	}
	wrong := connect(t, strings.Replace(at, "secret", "guess", 1), "")
	for begun := time.Now(); ; <-time.After(20 * time.Millisecond) {
		if err := wrong.Ready(); err != nil && strings.Contains(strings.ToLower(err.Error()), "authorization") {
			break
		}
		if time.Since(begun) > 20*time.Second {
			t.Fatalf("a wrong password: got %v", wrong.Ready())
		}
	}
	n.Close()
	if _, err := n.Append(t.Context(), record(2)); !errors.Is(err, evidence.ErrClosed) {
		t.Errorf("got %v, want ErrClosed", err)
	}
}

func TestReadyTellsWhyThereIsNoLog(t *testing.T) {
	t.Parallel()
	srv := foreign(t, t.TempDir(), server.RANDOM_PORT, 1<<20)
	awaitError(t, connectReplicas(t, address(srv), "three", 0),
		"the cluster's log has no leader at the moment (nats: API error: code=500 err_code=10074 description=replicas > 1 not supported")
	conn, err := nats.Connect(address(srv))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	js, err := natsjs.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), natsjs.StreamConfig{Name: "theirs-evidence", Subjects: []string{"theirs.evidence"}}); err != nil {
		t.Fatal(err)
	}
	awaitError(t, connect(t, address(srv), "theirs"),
		"the cluster's log has no leader at the moment (stream theirs-evidence is not Headlight's")
}
