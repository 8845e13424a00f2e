package main

import (
	"errors"
	"fmt"

	"headlight.example/frontend/httpapi"
)

// WebhookConfig says where changes of verdicts are posted.
type WebhookConfig struct {
	URL    string `toml:"url"`
	Secret string `toml:"secret_file"`
}

// validate checks what types cannot say; the key is that which is wrong.
func (c *WebhookConfig) validate() (key string, err error) {
	if c.URL == "" {
		return "", nil
	}
	if err := httpapi.ParseWebhookURL(c.URL); err != nil {
		return "url", err
	}
	if c.Secret == "" {
		return "secret_file", errors.New("is missing: nobody could tell what Headlight posts from what others do")
	}
	return "", nil
}

// webhook reads the secret.
func (c *Config) webhook(e *env) (httpapi.Webhook, error) {
	if c.Webhook.URL == "" {
		return httpapi.Webhook{}, nil
	}
	name := c.path(c.Webhook.Secret)
	text, err := readSecret(e, name)
	if err != nil {
		return httpapi.Webhook{}, fmt.Errorf("webhook.secret_file: %w", err)
	}
	secret, err := httpapi.ParseWebhookSecret(string(text))
	if err != nil {
		return httpapi.Webhook{}, fmt.Errorf("webhook.secret_file: %s: %w", name, err)
	}
	return httpapi.Webhook{URL: c.Webhook.URL, Secret: secret}, nil
}
