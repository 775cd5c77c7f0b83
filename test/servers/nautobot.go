package servers

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Nautobot is a running Nautobot with a database of its own, which holds
// nothing but what a fresh installation has, and one superuser.
type Nautobot struct {
	Version  string
	URL      string // without a slash at the end
	Username string // of the superuser
	Password string
	Token    string // API token of the superuser

	dir       string
	database  *postgres
	program   string   // nautobot-server
	env       []string // of program
	processes []*process
}

// CheapPasswords are settings of a Nautobot that hashes a password once. By
// default it does so a million times, which takes half a second of every request
// with a password.
const CheapPasswords = `
from django.contrib.auth.hashers import PBKDF2PasswordHasher
class Cheap(PBKDF2PasswordHasher):
    iterations = 1
PASSWORD_HASHERS = ["nautobot_config.Cheap"]
`

// StartNautobot starts a Nautobot of a version such as 3.2.7, with its default
// settings and those given, and returns when its REST API answers. The first time it installs that version and migrates
// a database, which takes several minutes. The servers run until Stop; ctx is
// for starting them only.
func StartNautobot(ctx context.Context, version string, settings ...string) (*Nautobot, error) {
	template, err := prepareNautobot(ctx, version)
	if err != nil {
		return nil, fmt.Errorf("prepare Nautobot %s: %w", version, err)
	}
	return startInRunDir(ctx, "nautobot-"+version, func(ctx context.Context, dir string) (*Nautobot, error) {
		restore := func(db *postgres) error { return db.restore(ctx, template.database) }
		n, err := startBackends(ctx, dir, version, template.program, restore, settings...)
		if err != nil {
			return nil, err
		}
		n.Username, n.Password, n.Token = adminUsername, template.Password, template.Token
		if err := n.startWeb(ctx); err != nil {
			stopAll(n.processes)
			return nil, err
		}
		return n, nil
	})
}

// startBackends starts what Nautobot needs, on data that fill puts into the
// database's empty directory. Settings are Python.
func startBackends(ctx context.Context, dir, version, program string, fill func(*postgres) error, settings ...string) (*Nautobot, error) {
	config := filepath.Join(dir, "nautobot_config.py")
	text := "from nautobot.core.settings import *\n" + strings.Join(settings, "\n")
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	ports, err := freePorts(3)
	if err != nil {
		return nil, err
	}
	web, dbPort, redisPort := ports[0], ports[1], ports[2]

	db, err := newPostgres(dir, dbPort)
	if err != nil {
		return nil, err
	}
	if err := fill(db); err != nil {
		return nil, err
	}
	if err := db.start(ctx, dir); err != nil {
		return nil, err
	}
	redis, err := startRedis(ctx, dir, redisPort)
	if err != nil {
		db.process.stop()
		return nil, err
	}

	n := &Nautobot{
		Version:   version,
		URL:       "http://127.0.0.1:" + strconv.Itoa(web),
		dir:       dir,
		database:  db,
		program:   program,
		processes: []*process{db.process, redis},
	}
	n.env = append(environWithout("NAUTOBOT_"),
		"NAUTOBOT_ROOT="+dir,
		"NAUTOBOT_CONFIG="+config,
		"NAUTOBOT_SECRET_KEY="+rand.Text()+rand.Text(),
		"NAUTOBOT_ALLOWED_HOSTS=*",
		"NAUTOBOT_DB_HOST=127.0.0.1",
		"NAUTOBOT_DB_PORT="+strconv.Itoa(dbPort),
		"NAUTOBOT_DB_USER=nautobot",
		"NAUTOBOT_REDIS_HOST=127.0.0.1",
		"NAUTOBOT_REDIS_PORT="+strconv.Itoa(redisPort),
		"NAUTOBOT_INSTALLATION_METRICS_ENABLED=false",
	)
	return n, nil
}

// startWeb starts the web server and returns when the REST API answers.
func (n *Nautobot) startWeb(ctx context.Context) error {
	config := filepath.Join(n.dir, "uwsgi.ini")
	err := os.WriteFile(config, []byte(`[uwsgi]
http-socket = `+strings.TrimPrefix(n.URL, "http://")+`
master = true
processes = 2
threads = 4
enable-threads = true
single-interpreter = true
buffer-size = 8192
disable-logging = true
log-5xx = true
die-on-term = true
no-orphans = true
`), 0o600)
	if err != nil {
		return err
	}
	web, err := startProcess(n.dir, "nautobot", syscall.SIGTERM, n.command("start", "--ini", config))
	if err != nil {
		return err
	}
	n.processes = append(n.processes, web)
	return web.ready(ctx, n.probe)
}

// probe asks for something that needs the database and the superuser's token.
func (n *Nautobot) probe(ctx context.Context) error {
	return n.Do(ctx, n.Admin(), http.MethodGet, "users/?limit=1", nil, nil)
}

// Python runs code inside this Nautobot, as its management shell does, and
// returns what the code printed. It takes a few seconds.
func (n *Nautobot) Python(ctx context.Context, code string) (string, error) {
	// Newer versions greet, unless told not to.
	command := n.command("shell", "--interface", "python", "--verbosity", "0")
	command.Stdin = strings.NewReader(code)
	return run(ctx, command)
}

// Interrupt ends the web server, and nothing else, until Resume.
func (n *Nautobot) Interrupt() {
	last := len(n.processes) - 1
	n.processes[last].stop()
	n.processes = n.processes[:last]
}

// Resume starts the web server again, at the same address.
func (n *Nautobot) Resume(ctx context.Context) error { return n.startWeb(ctx) }

// Stop ends everything that StartNautobot started, and removes its data.
func (n *Nautobot) Stop() {
	stopAll(n.processes)
	_ = os.RemoveAll(n.dir)
}

func (n *Nautobot) command(args ...string) *exec.Cmd {
	command := exec.Command(n.program, args...)
	command.Env = n.env
	command.Dir = n.dir
	return command
}

// environWithout is the environment of this program without the variables
// whose names start with prefix.
func environWithout(prefix string) []string {
	var env []string
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, prefix) {
			env = append(env, variable)
		}
	}
	return env
}
