package main

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	"headlight.example/frontend/sms"
)

// SMSConfig says which gateways bring text messages that people ask about.
type SMSConfig struct {
	Listen string `toml:"listen"`
	URL    string `toml:"url"`
	Secret string `toml:"secret_file"`
	Twilio string `toml:"twilio_token_file"`
	Vonage string `toml:"vonage_secret_file"`
}

// validate checks what types cannot say; the key is that which is wrong.
func (c *SMSConfig) validate() (key string, err error) {
	if _, _, err := net.SplitHostPort(c.Listen); c.Listen != "" && err != nil {
		return "listen", fmt.Errorf("%q is not HOST:PORT, such as 127.0.0.1:8081", c.Listen)
	}
	if u, err := url.Parse(c.URL); c.URL != "" && (err != nil || u.Host == "" || u.Path != "") {
		return "url", fmt.Errorf("%q is not a URL without a path, such as https://sms.example.org", c.URL)
	}
	if c.Twilio != "" && c.URL == "" {
		return "url", errors.New("is needed for Twilio, which signs it: name this server as Twilio does, such as https://sms.example.org")
	}
	return "", nil
}

// sms reads the secrets.
func (c *Config) sms(e *env) (sms.Config, error) {
	cfg := sms.Config{URL: c.SMS.URL}
	for _, s := range []struct {
		key, file string
		secret    *string
	}{
		{"secret_file", c.SMS.Secret, &cfg.Secret}, {"twilio_token_file", c.SMS.Twilio, &cfg.TwilioToken}, {"vonage_secret_file", c.SMS.Vonage, &cfg.VonageSecret},
	} {
		if s.file == "" {
			continue
		}
		text, err := readSecret(e, c.path(s.file))
		if err != nil {
			return sms.Config{}, fmt.Errorf("sms.%s: %w", s.key, err)
		}
		if *s.secret = strings.TrimSpace(string(text)); *s.secret == "" {
			return sms.Config{}, fmt.Errorf("sms.%s: %s is empty", s.key, s.file)
		}
	}
	return cfg, nil
}
