package main

import (
	"fmt"
	"regexp"
	"strings"
	"time"
)

// manPages makes a man page of the help of each command. The program knows its
// commands and flags best, and needs no generator inside for this.
func manPages(ask func(args ...string) (string, error), version string, at time.Time) ([]file, error) {
	root, err := ask("--help")
	if err != nil {
		return nil, err
	}
	all := commands(root)
	if len(all) == 0 {
		return nil, fmt.Errorf("the help names no commands:\n%s", root)
	}
	others := []string{"nautobot-token"}
	for _, c := range all {
		others = append(others, "nautobot-token-"+c.name)
	}
	page := func(name, summary, help string) file {
		return file{"man/man1/" + name + ".1", 0o644, []byte(manPage(name, summary, help, version, at, others))}
	}
	pages := []file{page("nautobot-token", "provision Nautobot service accounts from Kubernetes Secrets", root)}
	for _, c := range all {
		help, err := ask(c.name, "--help")
		if err != nil {
			return nil, err
		}
		pages = append(pages, page("nautobot-token-"+c.name, c.summary, help))
	}
	return pages, nil
}

type command struct{ name, summary string }

// commands are those that the program's own help lists.
func commands(help string) []command {
	var all []command
	_, list, _ := strings.Cut(help, "\nAvailable Commands:\n")
	for line := range strings.Lines(list) {
		name, summary, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok {
			break
		}
		if name != "help" {
			all = append(all, command{name, strings.TrimSpace(summary)})
		}
	}
	return all
}

var (
	titleLine = regexp.MustCompile(`^([A-Z][A-Za-z ]*):$`)
	flagLine  = regexp.MustCompile(`^ {2}(?:(-\w), |    )(--[a-z-]+)(?: (\S+))? {2,}(\S.*)$`)
)

// manPage turns a help text into troff: what comes before "Usage:" describes
// the command, each title after that is a section.
func manPage(name, summary, help, version string, at time.Time, others []string) string {
	var out strings.Builder
	fmt.Fprintf(&out, ".TH %s 1 %q %s %s\n", quote(strings.ToUpper(name)), at.Format(time.DateOnly), quote("nautobot-token "+version), quote("User Commands"))
	fmt.Fprintf(&out, ".SH NAME\n%s \\- %s\n", escape(name), escape(strings.ToLower(summary[:1])+summary[1:]))

	description, rest, _ := strings.Cut("\n"+help, "\nUsage:\n")
	out.WriteString(".SH SYNOPSIS\n.nf\n")
	usage, rest, _ := strings.Cut(rest, "\n\n")
	for line := range strings.Lines(usage) {
		out.WriteString(troff(strings.TrimSpace(line)) + "\n")
	}
	out.WriteString(".fi\n.SH DESCRIPTION\n")
	writeText(&out, description)

	var examples []string
	options, section := false, ""
	for line := range strings.SplitSeq(rest, "\n") {
		line = strings.TrimRight(line, " ")
		if title := titleLine.FindStringSubmatch(line); title != nil {
			section = title[1]
			if section != "Examples" && section != "Available Commands" {
				if !options {
					out.WriteString(".SH OPTIONS\n")
					options = true
				}
				if section != "Flags" {
					fmt.Fprintf(&out, ".SS %s\n", section)
				}
			}
			continue
		}
		if section == "Examples" && line != "" {
			examples = append(examples, strings.TrimPrefix(line, "  "))
			continue
		}
		if flag := flagLine.FindStringSubmatch(line); flag != nil {
			out.WriteString(".TP\n")
			if flag[1] != "" {
				fmt.Fprintf(&out, "\\fB%s\\fR, ", escape(flag[1]))
			}
			fmt.Fprintf(&out, "\\fB%s\\fR", escape(flag[2]))
			if flag[3] != "" {
				fmt.Fprintf(&out, " \\fI%s\\fR", escape(flag[3]))
			}
			fmt.Fprintf(&out, "\n%s\n", troff(flag[4]))
		}
	}
	if len(examples) > 0 {
		out.WriteString(".SH EXAMPLES\n.nf\n")
		for _, line := range examples {
			out.WriteString(troff(line) + "\n")
		}
		out.WriteString(".fi\n")
	}
	var see []string
	for _, other := range others {
		if other != name {
			see = append(see, fmt.Sprintf("\\fB%s\\fR(1)", escape(other)))
		}
	}
	fmt.Fprintf(&out, ".SH SEE ALSO\n%s\n", strings.Join(see, ", "))
	return out.String()
}

// writeText writes paragraphs; what is indented stays as it is, line by line.
func writeText(out *strings.Builder, text string) {
	asIs := false
	for line := range strings.SplitSeq(strings.Trim(text, "\n"), "\n") {
		if indented := strings.HasPrefix(line, "  "); indented != asIs {
			out.WriteString(map[bool]string{true: ".nf\n", false: ".fi\n"}[indented])
			asIs = indented
		}
		if line == "" {
			out.WriteString(".PP\n")
		} else {
			out.WriteString(troff(line) + "\n")
		}
	}
	if asIs {
		out.WriteString(".fi\n")
	}
}

// escape keeps what is special to troff from being read as such. A hyphen that
// is to be copied is "\-".
func escape(text string) string { return strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(text) }

// troff is a line of text: a dot or an apostrophe at its beginning would make
// it a request.
func troff(line string) string {
	line = escape(line)
	if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
		return `\&` + line
	}
	return line
}

func quote(text string) string { return `"` + strings.ReplaceAll(escape(text), `"`, `\(dq`) + `"` }
