package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/BurntSushi/toml"

	"headlight.example/netmap"
)

// Config is the configuration file. headlight.toml, at the root of the
// repository, is its reference: every key with its default and what it means.
type Config struct {
	Data    string        `toml:"data"`
	Listen  string        `toml:"listen"`
	Hosts   []string      `toml:"hosts"`
	Contact string        `toml:"contact"`
	Tokens  TokensConfig  `toml:"tokens"`
	Limits  LimitsConfig  `toml:"limits"`
	Log     LogConfig     `toml:"log"`
	Cluster ClusterConfig `toml:"cluster"`
	Netmap  NetmapConfig  `toml:"netmap"`
	Probe   ProbeConfig   `toml:"probe"`
	Lists   ListsConfig   `toml:"lists"`
	DNS     DNSConfig     `toml:"dns"`
	Milter  MilterConfig  `toml:"milter"`
	SMS     SMSConfig     `toml:"sms"`
	Webhook WebhookConfig `toml:"webhook"`
	Policy  PolicyConfig  `toml:"policy"`
	Feeds   []FeedConfig  `toml:"feed"`

	// name is the file that this came from; "" for the defaults. Files named
	// in it are relative to its directory.
	name string
}

// TokensConfig says who may call the API.
type TokensConfig struct {
	File    string `toml:"file"`
	Reads   bool   `toml:"reads"`
	Appeals bool   `toml:"appeals"`
}

// LimitsConfig bounds what callers may ask for.
type LimitsConfig struct {
	Rate      float64 `toml:"rate"`
	ScanBytes int64   `toml:"scan_bytes"`
}

// LogConfig says how long it is remembered who said what.
type LogConfig struct {
	Keep duration `toml:"keep"`
}

// NetmapConfig names tables of the networks of the internet.
type NetmapConfig struct {
	Files []string `toml:"files"`
}

// ListsConfig says what is published of what is known to be bad.
type ListsConfig struct {
	Every duration `toml:"every"`
}

// networks reads the tables; nil if there are none.
func (c *Config) networks() (*netmap.Map, error) {
	if len(c.Netmap.Files) == 0 {
		return nil, nil
	}
	var files []string
	for _, name := range c.Netmap.Files {
		files = append(files, c.path(name))
	}
	m, _, err := netmap.Load(files...)
	if err != nil {
		return nil, fmt.Errorf("netmap.files: %w", err)
	}
	return m, nil
}

// DefaultConfig is what holds where no file says otherwise.
func DefaultConfig() *Config {
	return &Config{
		Data:    "./data",
		Listen:  "127.0.0.1:8080",
		Hosts:   []string{},
		Tokens:  TokensConfig{Appeals: true},
		Limits:  LimitsConfig{Rate: 100, ScanBytes: 32 << 20},
		Cluster: ClusterConfig{Nodes: []string{}, Machines: 3, Replicas: 3},
		Netmap:  NetmapConfig{Files: []string{}},
		Probe:   defaultProbeConfig(),
		Lists:   ListsConfig{Every: duration(time.Minute)},
		DNS:     defaultDNSConfig(),
		Milter:  defaultMilterConfig(),
		Policy:  defaultPolicyConfig(),
	}
}

// needRestart names the keys in which the new configuration differs from the
// one in use and that a reload does not take over.
func (s *server) needRestart(cfg *Config) (keys []string) {
	old := s.cfg
	differs := func(key string, a, b any) {
		if !reflect.DeepEqual(a, b) {
			keys = append(keys, key)
		}
	}
	if s.place.data == "" {
		differs("data", old.Data, cfg.Data)
	}
	if s.listenFlag == "" {
		differs("listen", old.Listen, cfg.Listen)
	}
	differs("hosts", old.Hosts, cfg.Hosts)
	differs("contact", old.Contact, cfg.Contact)
	differs("tokens.reads", old.Tokens.Reads, cfg.Tokens.Reads)
	differs("tokens.appeals", old.Tokens.Appeals, cfg.Tokens.Appeals)
	differs("limits", old.Limits, cfg.Limits)
	differs("log", old.Log, cfg.Log)
	if s.clusterFlag == "" && s.natsFlag == "" {
		differs("cluster", old.Cluster, cfg.Cluster)
	}
	differs("feed", old.Feeds, cfg.Feeds)
	differs("milter", old.Milter, cfg.Milter)
	differs("sms", old.SMS, cfg.SMS)
	differs("webhook", old.Webhook, cfg.Webhook)
	visits := cfg.Probe
	if visits.Mode == probeOff { // halts them at once
		visits.Mode = old.Probe.Mode
	}
	differs("probe", old.Probe, visits)
	differs("lists", old.Lists, cfg.Lists)
	differs("dns", old.DNS, cfg.DNS)
	return keys
}

// configError is a mistake in a configuration file, and where it is.
type configError struct {
	file string
	line int // 0 if it has none
	err  error
}

func (e *configError) Error() string {
	if e.line == 0 {
		return fmt.Sprintf("%s: %v", e.file, e.err)
	}
	return fmt.Sprintf("%s:%d: %v", e.file, e.line, e.err)
}

func (e *configError) Unwrap() error { return e.err }

// LoadConfig reads a file over the defaults. A key that is not known is an
// error: it is more often a misprint than a wish.
func LoadConfig(name string) (*Config, error) {
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("config file %s does not exist; \"headlight config\" prints one to begin with", name)
	}
	if err != nil {
		return nil, fmt.Errorf("read config: %w", err)
	}
	c, err := parseConfig(name, text)
	if err != nil {
		return nil, err
	}
	return c, nil
}

func parseConfig(name string, text []byte) (*Config, error) {
	c := DefaultConfig()
	c.name = name
	meta, err := toml.NewDecoder(bytes.NewReader(text)).Decode(c)
	if err != nil {
		var syntax toml.ParseError
		if errors.As(err, &syntax) {
			return nil, &configError{name, syntax.Position.Line, errors.New(tomlReason(syntax))}
		}
		line, reason := wrongType(err)
		return nil, &configError{name, line, reason}
	}
	if unknown := meta.Undecoded(); len(unknown) > 0 {
		return nil, unknownKey(name, text, unknown[0])
	}
	if err := c.validate(text); err != nil {
		return nil, err
	}
	return c, nil
}

// mistyped is how the library words a value of the wrong type; it has no error
// type for that.
var mistyped = regexp.MustCompile(`^toml: line (\d+) \(last key "(.*?)"\): incompatible types: TOML value has type (\S+); destination has type (\S+)$`)

// wrongType says of an error that a value of the wrong type causes on which line
// it is and what the key takes; others it returns as they are, with line 0.
func wrongType(err error) (line int, reason error) {
	m := mistyped.FindStringSubmatch(err.Error())
	if m == nil {
		return 0, err
	}
	line, _ = strconv.Atoi(m[1])
	return line, fmt.Errorf("%s takes a value of type %s, not %s", m[2], m[4], m[3])
}

// tomlReason is the parser's message without the position that it repeats.
func tomlReason(err toml.ParseError) string {
	if err.Message != "" {
		return err.Message
	}
	s := err.Error()
	if _, after, ok := strings.Cut(s, "): "); ok {
		return after
	}
	return strings.TrimPrefix(s, "toml: ")
}

func unknownKey(file string, text []byte, key toml.Key) error {
	var known []string
	parent := key[:len(key)-1]
	for k := range configKeys() {
		at := strings.Split(k, ".")
		if slices.Equal(at[:len(at)-1], parent) {
			known = append(known, at[len(at)-1])
		}
	}
	// A key may also have been written under the wrong heading.
	hint := ""
	last := key[len(key)-1]
	if near := nearest(last, known); near != "" {
		hint = fmt.Sprintf("; did you mean %q?", near)
	} else {
		for k := range configKeys() {
			if k == last || strings.HasSuffix(k, "."+last) {
				hint = fmt.Sprintf("; did you mean %q?", k)
			}
		}
	}
	if hint == "" && len(known) > 0 {
		hint = "; there are " + strings.Join(known, ", ")
	}
	return &configError{file, keyLine(text, key.String()), fmt.Errorf("unknown key %q%s", key.String(), hint)}
}

// configKeys yields the dotted path of every key and table that a file may
// hold.
func configKeys() func(yield func(string) bool) {
	return func(yield func(string) bool) {
		walkKeys(reflect.TypeFor[Config](), "", yield)
	}
}

func walkKeys(t reflect.Type, prefix string, yield func(string) bool) bool {
	for f := range t.Fields() {
		name := f.Tag.Get("toml")
		if name == "" || name == "-" {
			continue
		}
		if !yield(prefix + name) {
			return false
		}
		inner := f.Type
		if inner.Kind() == reflect.Slice {
			inner = inner.Elem()
		}
		if inner.Kind() == reflect.Struct && !walkKeys(inner, prefix+name+".", yield) {
			return false
		}
	}
	return true
}

// keyLine finds the line on which a key or a table with this dotted path is
// set, from 1; 0 if it is not found (an inline table, say).
func keyLine(text []byte, path string) int {
	table, line := "", 0
	for l := range strings.Lines(string(text)) {
		line++
		l = strings.TrimSpace(l)
		if strings.HasPrefix(l, "[") {
			name, _, _ := strings.Cut(strings.TrimLeft(l, "["), "]")
			if table = strings.TrimSpace(name); table == path {
				return line
			}
			continue
		}
		key, _, ok := strings.Cut(l, "=")
		if key = strings.Trim(strings.TrimSpace(key), `"'`); !ok || strings.HasPrefix(l, "#") {
			continue
		}
		if table != "" {
			key = table + "." + key
		}
		if key == path || strings.HasPrefix(path, key+".") {
			return line
		}
	}
	return 0
}

// validate checks what types cannot say.
func (c *Config) validate(text []byte) error {
	wrong := func(key, format string, args ...any) error {
		return &configError{c.name, keyLine(text, key), fmt.Errorf(key+": "+format, args...)}
	}
	if c.Data == "" {
		return wrong("data", "names no directory")
	}
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		return wrong("listen", "%q is not HOST:PORT, such as 127.0.0.1:8080", c.Listen)
	}
	if c.Limits.Rate < 0 {
		return wrong("limits.rate", "is below 0")
	}
	if c.Limits.ScanBytes < 1<<10 || c.Limits.ScanBytes > 1<<30 {
		return wrong("limits.scan_bytes", "%d is not between 1 KiB and 1 GiB", c.Limits.ScanBytes)
	}
	if key, err := c.Cluster.validate(); err != nil {
		return wrong("cluster."+key, "%v", err)
	}
	if key, err := c.Probe.validate(); err != nil {
		return wrong("probe."+key, "%v", err)
	}
	if every := time.Duration(c.Lists.Every); every < time.Second || every > day {
		return wrong("lists.every", "%v is not between 1s and 1d", every)
	}
	if _, err := c.DNS.server(c); err != nil {
		return &configError{c.name, keyLine(text, "dns"), fmt.Errorf("dns: %w", err)}
	}
	if key, err := c.Milter.validate(); err != nil {
		return wrong("milter."+key, "%v", err)
	}
	if key, err := c.Webhook.validate(); err != nil {
		return wrong("webhook."+key, "%v", err)
	}
	if key, err := c.SMS.validate(); err != nil {
		return wrong("sms."+key, "%v", err)
	}
	if key, err := c.Policy.validate(); err != nil {
		return wrong("policy."+key, "%v", err)
	}
	names := make(map[string]bool)
	for i := range c.Feeds {
		f := &c.Feeds[i]
		if _, err := f.source(c); err != nil {
			return &configError{c.name, nthTable(text, "feed", i), fmt.Errorf("feed %q: %w", f.Name, err)}
		}
		if names[f.Name] {
			return &configError{c.name, nthTable(text, "feed", i), fmt.Errorf("feed %q: there is another of this name", f.Name)}
		}
		names[f.Name] = true
	}
	return nil
}

// nthTable finds the line of the nth [[name]], from 0; 0 if there is none.
func nthTable(text []byte, name string, n int) int {
	line := 0
	for l := range strings.Lines(string(text)) {
		line++
		l = strings.ReplaceAll(strings.TrimSpace(l), " ", "")
		if strings.HasPrefix(l, "[["+name+"]]") {
			if n == 0 {
				return line
			}
			n--
		}
	}
	return 0
}

// path makes a file named in the configuration relative to it.
func (c *Config) path(name string) string {
	if name == "" || filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(filepath.Dir(c.name), name)
}

// duration is a time.Duration that a file may also give in days: "90d".
type duration time.Duration

const day = 24 * time.Hour

// UnmarshalText reads "90d", "12h", "1h30m", or "0".
func (d *duration) UnmarshalText(text []byte) error {
	v, err := parseDuration(string(text))
	*d = duration(v)
	return err
}

// MarshalText writes whole days as days.
func (d duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

func (d duration) String() string {
	v := time.Duration(d)
	if v != 0 && v%day == 0 {
		return strconv.FormatInt(int64(v/day), 10) + "d"
	}
	s := v.String()
	if strings.HasSuffix(s, "m0s") {
		s = s[:len(s)-2]
	}
	if strings.HasSuffix(s, "h0m") {
		s = s[:len(s)-2]
	}
	return s
}

func parseDuration(s string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.ParseFloat(days, 64)
		if err == nil && n >= 0 && n <= 36500 {
			return time.Duration(n * float64(day)), nil
		}
	} else if d, err := time.ParseDuration(s); err == nil && d >= 0 {
		return d, nil
	}
	return 0, fmt.Errorf("%q is not a span of time, such as 30m, 12h or 90d", s)
}
