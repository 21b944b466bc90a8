package sudoers

import (
	"regexp"
	"strings"
)

// What arguments are made of. None of these lets a blank through, so that one argument cannot be read as two; and no name
// begins with a dot or holds a slash, so that none leads out of its folder.
const (
	name     = `[A-Za-z0-9_][A-Za-z0-9._@+-]*`
	version  = `v[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?`
	minor    = `v[0-9]+\.[0-9]+`
	release  = `[0-9][0-9A-Za-z.+~:_^-]*` // of a package, as a package manager names it
	number   = `[0-9]+`
	anyFile  = `/[A-Za-z0-9._/@:+-]+` // for questions that tell nothing but whether it is there, or how large
	endpoint = `https?://[]A-Za-z0-9.:[-]+`

	pawlFolder   = `/var/lib/pawl`
	backupFolder = pawlFolder + `/backups`
	backup       = backupFolder + `/[A-Za-z0-9][A-Za-z0-9._-]*`
	backupFile   = backup + `/[A-Za-z0-9][A-Za-z0-9._-]*`
)

// lit is the pattern of a text.
func lit(text string) string { return regexp.QuoteMeta(text) }

// words are patterns of arguments, one behind the other.
func words(patterns ...string) string { return strings.Join(patterns, " ") }

// either is one of the patterns.
func either(patterns ...string) string {
	if len(patterns) == 1 {
		return patterns[0]
	}
	return "(" + strings.Join(patterns, "|") + ")"
}

// oneOf is one of the texts.
func oneOf(texts ...string) string {
	var all []string
	for _, t := range texts {
		all = append(all, lit(t))
	}
	return either(all...)
}

// some are one or more of the patterns, apart by blanks, each with a blank before it.
func some(pattern string) string { return "( " + pattern + ")+" }

// leading is one or more of the pattern before other arguments.
func leading(pattern string) string { return "(" + pattern + " )+" }

// hidden is the name that a file has while it is written.
func hidden(folder, name string) string { return folder + `/\.` + name + `\.pawl` }

// usr is a rule for a program of the system.
func usr(program, why string, args ...string) Rule {
	return Rule{Program: "/usr/bin/" + program, Args: words(args...), Why: why}
}

// writes are the three commands by which a file is written: an empty one with its mode, its content, its name.
func writes(why, folder, name string, mode string) []Rule {
	return []Rule{
		usr("install", why, "-m", mode, "/dev/null", hidden(folder, name)),
		usr("dd", why, "of="+hidden(folder, name), "conv=fsync", "status=none"),
		usr("mv", why, "-T", hidden(folder, name), folder+"/"+name),
	}
}
