package main

import "strings"

// table sets rows in columns aligned by display width. On a terminal the
// columns marked flexible are cut so that no line wraps.
type table struct {
	columns []column
	rows    [][]cell
	bare    bool // without a header
	indent  int  // spaces before each line
}

type column struct {
	name string
	// right aligns numbers.
	right bool
	// flexible columns give way, the widest first, when the terminal is narrow.
	flexible bool
}

// cell is a text, already printable, with a style.
type cell struct {
	text  string
	style style
}

const (
	columnGap   = 2
	minFlexible = 16 // narrower, and a link cannot be told from another
)

func (t *table) add(cells ...cell) { t.rows = append(t.rows, cells) }

// widths gives each column the width of its widest cell, then takes from the
// flexible ones what the terminal lacks.
func (t *table) widths(available int) []int {
	w := make([]int, len(t.columns))
	total := columnGap * (len(w) - 1)
	for i, c := range t.columns {
		w[i] = displayWidth(c.name)
		for _, row := range t.rows {
			w[i] = max(w[i], displayWidth(row[i].text))
		}
		total += w[i]
	}
	for ; total > available; total-- {
		widest := -1
		for i, c := range t.columns {
			if c.flexible && w[i] > minFlexible && (widest < 0 || w[i] > w[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			break
		}
		w[widest]--
	}
	return w
}

func (t *table) print(o *output) {
	w := t.widths(o.width - t.indent)
	if !t.bare {
		t.printHeader(o, w)
	}
	for _, row := range t.rows {
		t.printRow(o, row, w)
	}
}

func (t *table) printHeader(o *output, w []int) {
	header := make([]cell, len(t.columns))
	for i, c := range t.columns {
		header[i] = cell{c.name, bold}
	}
	t.printRow(o, header, w)
}

func (t *table) printRow(o *output, row []cell, w []int) {
	var line strings.Builder
	pending := t.indent // spaces owed before the next text; none trail a line
	for i, c := range row {
		text := truncate(c.text, w[i])
		pad := w[i] - displayWidth(text)
		if t.columns[i].right {
			pending += pad
		}
		if text != "" {
			line.WriteString(strings.Repeat(" ", pending))
			line.WriteString(o.paint(c.style, text))
			pending = 0
		}
		if !t.columns[i].right {
			pending += pad
		} else if text == "" {
			pending += w[i] - pad
		}
		pending += columnGap
	}
	o.print(line.String() + "\n")
}
