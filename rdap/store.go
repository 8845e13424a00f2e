package rdap

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Files of the directory. answersFile is text, a line an answer; the last one of a
// domain counts, and what cannot be read is passed over. serversFile is IANA's, as
// it came.
const (
	answersFile = "answers.jsonl"
	serversFile = "servers.json"
)

// line is a line of answersFile: what was answered of a domain, or until when a
// registry wants no questions.
type line struct {
	Domain   string    `json:"domain,omitempty"`
	Registry string    `json:"registry,omitempty"`
	Asked    time.Time `json:"asked,omitzero"`
	Since    time.Time `json:"since,omitzero"`
	Failed   bool      `json:"failed,omitempty"`
	Quiet    time.Time `json:"quiet,omitzero"`
}

// store is answersFile, open for appending.
type store struct {
	file  *os.File
	lines int
}

const maxLine = 1 << 10 // bytes

// open reads the answers that hold still and writes them anew.
func (c *Client) open() error {
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return err
	}
	f, err := os.Open(filepath.Join(c.dir, answersFile))
	if err == nil {
		err = c.read(f, time.Now())
		f.Close()
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return c.rewrite(time.Now())
}

// read takes in the lines of a file.
func (c *Client) read(r io.Reader, now time.Time) error {
	b := bufio.NewReaderSize(r, maxLine)
	for {
		text, err := b.ReadSlice('\n')
		if err == bufio.ErrBufferFull {
			continue // the rest of it is no line either
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		var l line
		if json.Unmarshal(text, &l) != nil || l.Asked.After(now.Add(time.Hour)) {
			continue
		}
		// The turns of registries outlive a restart, too.
		for _, turn := range []time.Time{l.Quiet, l.Asked.Add(c.every())} {
			if l.Registry != "" && turn.After(now) && turn.After(c.turns[l.Registry]) && turn.Before(now.Add(2*longestQuiet)) {
				c.turns[l.Registry] = turn
			}
		}
		a := answer{l.Asked, l.Since, l.Failed}
		if isDomain(l.Domain) && a.holds(now) && len(c.answers) < maxAnswers {
			c.answers[l.Domain] = a
		}
	}
}

// rewrite writes all that holds still, in place of the file that was. c.mu is
// held, or nobody else has c yet.
func (c *Client) rewrite(now time.Time) error {
	tmp, err := os.CreateTemp(c.dir, "new-*") // with mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) // in vain once it has its name
	w := bufio.NewWriter(tmp)
	n := 0
	put := func(l line) {
		n++
		text, _ := json.Marshal(l) // strings and times that came from JSON, or from the clock
		w.Write(append(text, '\n'))
	}
	c.sweep(now)
	for domain, a := range c.answers {
		put(line{Domain: domain, Asked: a.asked, Since: a.since, Failed: a.failed})
	}
	for registry, turn := range c.turns {
		put(line{Registry: registry, Quiet: turn})
	}
	err = errors.Join(w.Flush(), tmp.Sync())
	if err == nil {
		err = os.Rename(tmp.Name(), filepath.Join(c.dir, answersFile))
	}
	if err != nil {
		return errors.Join(err, tmp.Close())
	}
	old := c.store.file
	c.store = store{tmp, n}
	if old != nil {
		return old.Close()
	}
	return nil
}

// note remembers an answer.
func (c *Client) note(domain, registry string, a answer) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answers[domain] = a
	return c.append(line{Domain: domain, Registry: registry, Asked: a.asked, Since: a.since, Failed: a.failed})
}

// quiet remembers that a registry wants no questions until a time.
func (c *Client) quiet(registry string, until time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if until.After(c.turns[registry]) {
		c.turns[registry] = until
		c.append(line{Registry: registry, Quiet: until.UTC()}) // if it is lost, it is said again
	}
}

// append appends a line to the file, which is written anew when most of it is
// over. c.mu is held.
func (c *Client) append(l line) error {
	text, err := json.Marshal(l)
	if err != nil {
		return err
	}
	if c.store.file == nil {
		return os.ErrClosed
	}
	if _, err := c.store.file.Write(append(text, '\n')); err != nil {
		return err
	}
	c.store.lines++
	now := time.Now()
	if now.Sub(c.swept) > time.Hour {
		c.sweep(now)
	}
	if c.store.lines > 2*len(c.answers)+1000 {
		return c.rewrite(now)
	}
	return nil
}

func (s *store) close() error {
	if s.file == nil {
		return nil
	}
	err := errors.Join(s.file.Sync(), s.file.Close())
	s.file = nil
	return err
}

// whom gives the servers by IANA's file: the one on disk if it is younger than a
// week, else a new one; the old one if there is none to be had.
func (c *Client) whom(ctx context.Context) (servers, error) {
	c.mu.Lock()
	s, fresh := c.servers, c.fresh
	c.mu.Unlock()
	if s != nil && time.Now().Before(fresh) {
		return s, nil
	}
	v, err, _ := c.flight.Do("/servers", func() (any, error) { return c.readServers(ctx) }) // no domain has a slash
	if err != nil {
		return nil, err
	}
	return v.(servers), nil
}

func (c *Client) readServers(ctx context.Context) (servers, error) {
	name := filepath.Join(c.dir, serversFile)
	c.mu.Lock()
	s, fresh, never := c.servers, c.fresh, c.fresh.IsZero()
	c.mu.Unlock()
	if info, err := os.Stat(name); never && err == nil {
		if text, err := os.ReadFile(name); err == nil {
			s, _ = readServers(text) // if it cannot be read, another one is fetched
			fresh = info.ModTime().Add(keepServers)
		}
	}
	now := time.Now()
	var err error
	if s == nil && never || !now.Before(fresh) {
		var text []byte
		var until time.Time
		text, until, err = c.get(ctx, c.cfg.Bootstrap, maxServers)
		if err == nil {
			var read servers
			if read, err = readServers(text); err == nil {
				s, fresh = read, now.Add(keepServers)
				err = replace(name, text)
			}
		}
		if err != nil {
			fresh = now.Add(retryServers)
			if until.After(fresh) {
				fresh = until
			}
		}
	}
	c.have(s, fresh)
	if s == nil {
		return nil, cmp.Or(err, errNoServers)
	}
	return s, nil
}

// errNoServers: IANA's file could not be had lately.
var errNoServers = errors.New("it is not known whom to ask")

func (c *Client) have(s servers, fresh time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.servers, c.fresh = s, fresh
}

// replace writes a file in place of the one that was.
func replace(name string, text []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(name), "new-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = io.Copy(tmp, bytes.NewReader(text))
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), name)
}
