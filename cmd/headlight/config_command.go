package main

import (
	"context"

	"github.com/BurntSushi/toml"

	"headlight.example"
)

func configCommand() *command {
	return &command{
		name: "config", group: groupOperate,
		synopsis: []string{"config", "config -config FILE"},
		short:    "print the configuration reference, or check a file",
		about: `Without a file: prints headlight.toml, the reference of all keys with their defaults, to begin a file of your own with.

With -config: checks the file, and the file of tokens that it names, and prints what is in effect, defaults and all, and below it what is asked of each class of links by the policy of [probe]. Secrets stand in files of their own, of which only the names are printed.`,
		examples: []string{
			"headlight config > headlight.toml",
			"headlight config -config headlight.toml",
		},
		prepare: func(f *flags) action {
			file := f.String("config", "", "check this config `file` and print what is in effect")
			return func(_ context.Context, e *env, args []string) error {
				if len(args) > 0 {
					return usagef("takes no arguments; name the file with -config")
				}
				if *file == "" {
					e.out.print(headlight.ConfigReference)
					return nil
				}
				return printConfig(e, *file)
			}
		},
	}
}

func printConfig(e *env, file string) error {
	cfg, err := LoadConfig(file)
	if err != nil {
		return err
	}
	if _, err := cfg.tokens(e); err != nil {
		return err
	}
	if _, err := cfg.policy(); err != nil {
		return err
	}
	if err := toml.NewEncoder(e.out).Encode(cfg); err != nil {
		return err
	}
	e.out.print("\n# What is asked of each class of links that are not known:\n")
	for _, line := range cfg.Probe.policyLines() {
		e.out.printf("#   %s\n", line)
	}
	return nil
}
