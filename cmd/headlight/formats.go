package main

import (
	"context"
	"encoding/json"

	"headlight.example/feed"
)

// formatDoc is what "formats -json" says of a format.
type formatDoc struct {
	Name           string `json:"name"`
	Rater          string `json:"rater,omitzero"`
	Assertion      string `json:"assertion,omitzero"`
	NeedsAssertion bool   `json:"needs_assertion"`
	Dated          bool   `json:"dated"`
	Doc            string `json:"doc"`
}

func formatDocs() []formatDoc {
	var docs []formatDoc
	for _, f := range feed.Formats() {
		d := formatDoc{Name: f.Name, Rater: f.Rater, NeedsAssertion: f.NeedsAssertion, Dated: f.Dated, Doc: f.Doc}
		if f.Assertion != 0 {
			d.Assertion = f.Assertion.String()
		}
		docs = append(docs, d)
	}
	return append(docs, formatDoc{Name: logFormat, Dated: true, Rater: "as each entry says", Doc: "what \"headlight log export\" wrote: JSON lines, one for each entry"})
}

func formatsCommand() *command {
	return &command{
		name: "formats", group: groupLearn,
		synopsis: []string{"formats [-json]"},
		short:    "list the feed formats that import and [[feed]] know",
		about: `Prints for each format its name, what being listed means, whose word it is unless another rater is named, and where such lists are found.

Where it says "-as", the format does not tell what its lists are of: name it with -as, or in the config file with "assertion".`,
		examples: []string{"headlight formats", "headlight formats -json"},
		prepare: func(f *flags) action {
			asJSON := f.Bool("json", false, "print JSON")
			return func(_ context.Context, e *env, args []string) error {
				if len(args) > 0 {
					return usagef("takes no arguments")
				}
				docs := formatDocs()
				if *asJSON {
					return json.NewEncoder(e.out).Encode(docs)
				}
				t := &table{columns: []column{{name: "FORMAT"}, {name: "MEANS"}, {name: "RATER"}, {name: "WHAT", flexible: true}}}
				for _, d := range docs {
					means := d.Assertion
					if d.NeedsAssertion {
						means = "-as"
					}
					t.add(cell{d.Name, bold}, cell{text: means}, cell{text: d.Rater}, cell{text: d.Doc})
				}
				t.print(e.out)
				return nil
			}
		},
	}
}
