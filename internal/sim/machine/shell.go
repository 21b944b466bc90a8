package machine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
	"syscall"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"
)

// sh is the shell: sh -c LINE [NAME ARGS...], sh FILE, or a script on standard input.
func sh(p *process) int {
	args := p.argv[1:]
	var params []string
	for len(args) > 0 && len(args[0]) > 1 && args[0][0] == '-' && args[0] != "-c" {
		if args[0] != "-e" && args[0] != "-s" {
			return p.fail(2, "sh: 0: Illegal option %s", args[0])
		}
		params = append(params, args[0])
		args = args[1:]
	}
	switch {
	case len(args) > 0 && args[0] == "-c":
		if len(args) == 1 {
			return p.fail(2, "sh: 0: -c requires an argument")
		}
		return p.interpret(args[1], append(params, args[min(3, len(args)):]...))
	case len(args) > 0:
		text, err := p.readFile(args[0])
		if err != nil {
			return p.fail(2, "sh: 0: cannot open %s: %s", args[0], reason(err))
		}
		return p.interpret(string(text), append(params, args[1:]...))
	default:
		text, err := io.ReadAll(p.in)
		if err != nil {
			return 2
		}
		p.in = strings.NewReader("")
		return p.interpret(string(text), params)
	}
}

// builtin is a program that the shell has built in and that is a file as well, for those who call it without a shell.
func builtin(p *process) int {
	var words []string
	for _, arg := range p.argv {
		word, err := syntax.Quote(arg, syntax.LangBash)
		if err != nil {
			return p.fail(2, "%s: %v", p.argv[0], err)
		}
		words = append(words, word)
	}
	words[0] = path.Base(p.argv[0])
	return p.interpret(strings.Join(words, " "), nil)
}

// script is the program that a file with a shebang line is.
func script(file string) program {
	return func(p *process) int {
		text, err := p.readFile(file)
		if err != nil {
			return p.fail(126, "%s: %s", file, reason(err))
		}
		return p.interpret(string(text), p.argv[1:])
	}
}

// interpret runs shell text. The interpreter sees the machine's disk, programs and process ids, and nothing of the
// computer that it really runs on.
func (p *process) interpret(text string, params []string) int {
	file, err := syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(strings.NewReader(text), "sh")
	if err != nil {
		return p.fail(2, "sh: 1: Syntax error: %v", err)
	}
	// $$ would be the process id of this program.
	syntax.Walk(file, func(n syntax.Node) bool {
		if e, ok := n.(*syntax.ParamExp); ok && e.Param != nil && e.Param.Value == "$" {
			e.Param.Value = "PAWL_SIM_PID"
		}
		return true
	})
	var options, positional []string
	for _, param := range params {
		if param == "-e" {
			options = append(options, param)
		} else if param != "-s" {
			positional = append(positional, param)
		}
	}
	in := p.in
	if f, ok := p.in.(*strings.Reader); ok && f.Len() == 0 {
		in = nil
	}
	runner, err := interp.New(
		interp.Dir("/"),
		interp.Env(expand.ListEnviron(append(append([]string{}, p.env...), "PAWL_SIM_PID="+strconv.Itoa(p.pid), "UID=0", "EUID=0", "GID=0")...)),
		interp.StdIO(in, p.out, p.err),
		interp.Params(append(append(options, "--"), positional...)...),
		interp.CallHandler(call),
		interp.ExecHandlers(func(interp.ExecHandlerFunc) interp.ExecHandlerFunc { return p.exec }),
		interp.OpenHandler(p.openForShell),
		interp.StatHandler(func(_ context.Context, name string, follow bool) (fs.FileInfo, error) {
			if follow {
				return p.stat(name)
			}
			return p.lstat(name)
		}),
		interp.ReadDirHandler2(func(_ context.Context, name string) ([]fs.DirEntry, error) { return p.readDir(name) }),
		interp.AccessHandler(func(_ context.Context, name string, mode interp.AccessMode) error {
			if _, err := p.stat(name); err != nil {
				return err
			}
			return p.access(name, fs.FileMode(mode))
		}),
	)
	if err != nil {
		return p.fail(2, "sh: 0: %v", err)
	}
	runner.Dir = p.dir
	err = runner.Run(p.ctx, file)
	var exit interp.ExitStatus
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return int(exit)
	case p.ctx.Err() != nil:
		return 1
	}
	return p.fail(2, "sh: 1: %v", err)
}

// call takes out of the interpreter's hands what it would do to the computer that it runs on.
func call(_ context.Context, args []string) ([]string, error) {
	if args[0] == "kill" {
		return append([]string{"/usr/bin/kill"}, args[1:]...), nil
	}
	return args, nil
}

func (p *process) exec(ctx context.Context, args []string) error {
	hc := interp.HandlerCtx(ctx)
	var env []string
	for name, value := range hc.Env.Each {
		if value.Exported && value.Kind == expand.String && name != "PAWL_SIM_PID" {
			env = append(env, name+"="+value.Str)
		}
	}
	var in io.Reader
	if hc.Stdin != nil && hc.Stdin != (*os.File)(nil) {
		in = hc.Stdin
	}
	end := p.start(args, streams{in, hc.Stdout, hc.Stderr}, p.user, func(child *process) {
		child.dir, child.env = hc.Dir, env
		if in == nil {
			child.in = strings.NewReader("")
		}
	})
	if err := p.ctx.Err(); err != nil {
		return err
	}
	if code := end.exitCode(); code != 0 {
		if end.signal == int(syscall.SIGKILL) {
			fmt.Fprintln(hc.Stderr, "Killed")
		}
		return interp.ExitStatus(code)
	}
	return nil
}

func (p *process) openForShell(ctx context.Context, name string, flag int, mode os.FileMode) (io.ReadWriteCloser, error) {
	if name == "/dev/null" {
		return null{}, nil
	}
	if !strings.HasPrefix(name, "/") {
		name = interp.HandlerCtx(ctx).Dir + "/" + name
	}
	f, err := p.open(name, flag, mode)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: errors.New(reason(err))}
	}
	return f, nil
}

// null is /dev/null.
type null struct{}

func (null) Read([]byte) (int, error)    { return 0, io.EOF }
func (null) Write(b []byte) (int, error) { return len(b), nil }
func (null) Close() error                { return nil }
