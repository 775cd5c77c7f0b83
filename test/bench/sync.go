package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rackerlabs/understack/go/nautobot-token/kube/kubetest"
	"github.com/rackerlabs/understack/go/nautobot-token/nautobot/nautobottest"
	"github.com/rackerlabs/understack/go/nautobot-token/test/bench/replay"
	"github.com/rackerlabs/understack/go/nautobot-token/test/servers"
)

const (
	parallel    = 4 // Secrets at a time, the program's default
	shards      = 4
	clusterName = "bench"
)

// A crowd is a stage with many Secrets, whose accounts are all in order.
type crowd struct {
	*stage
	accounts []account
}

// startCrowd starts one on the fake Nautobot, or on a real one of that version.
func startCrowd(ctx context.Context, dir string, p programs, version string, size int) (*crowd, error) {
	kubernetes := kubetest.New()
	s := &stage{
		name: fmt.Sprintf("fake Nautobot, %d Secrets", size), dir: dir, kubernetes: kubernetes.URL, kubeconfig: filepath.Join(dir, "crowd.kubeconfig"),
		putSecret: func(_ context.Context, path string, data map[string]string) error {
			kubernetes.Put(path, data)
			return nil
		},
	}
	var add func(context.Context, []account) error
	if version == "" {
		fake := nautobottest.New(nautobottest.Options{})
		s.nautobot, s.token, s.stop = fake.URL, fake.Token, func() { fake.Close(); kubernetes.Close() }
		add = func(_ context.Context, all []account) error { addToFake(fake, all); return nil }
	} else {
		server, err := servers.StartNautobot(ctx, version)
		if err != nil {
			kubernetes.Close()
			return nil, err
		}
		s.name = fmt.Sprintf("Nautobot %s, %d Secrets", version, size)
		s.nautobot, s.token, s.stop = server.URL, server.Token, func() { server.Stop(); kubernetes.Close() }
		add = func(ctx context.Context, all []account) error { return addToReal(ctx, server, all) }
	}
	c := &crowd{stage: s}
	password := newAccount().password // of all of them: see addToReal
	for range size {
		a := newAccount()
		a.password = password
		c.accounts = append(c.accounts, a)
	}
	err := os.WriteFile(s.kubeconfig, []byte(kubernetes.Kubeconfig(namespace)), 0o600)
	if err == nil {
		err = c.fill(ctx, p, add)
	}
	if err != nil {
		s.stop()
		return nil, err
	}
	return c, nil
}

// fill makes the Secrets and their accounts. The program makes the first of
// these, and with it the managed group.
func (c *crowd) fill(ctx context.Context, p programs, add func(context.Context, []account) error) error {
	if err := c.prepare(ctx); err != nil {
		return err
	}
	first := c.accounts[0]
	for i, a := range c.accounts {
		if err := c.applyAccount(ctx, a); err != nil {
			return err
		}
		if i > 0 {
			continue
		}
		if _, _, err := c.runProgram(ctx, p, c.at(), "provision", first.secret, "-n", namespace, "--cluster", clusterName); err != nil {
			return err
		}
	}
	return add(ctx, c.accounts[1:])
}

func (a account) owner() string { return clusterName + "/" + namespace + "/" + a.secret }

const (
	firstName    = "Service account"
	description  = "nautobot-token: "
	managedGroup = "nautobot-token-managed"
)

func addToFake(fake *nautobottest.Server, all []account) {
	for _, a := range all {
		fake.AddUser(nautobottest.User{
			Username: a.username, Password: a.password, FirstName: firstName, LastName: a.owner(), Groups: []string{managedGroup},
		})
		fake.AddToken(a.username, nautobottest.Token{Key: a.token, Description: description + a.owner()})
	}
}

// addToReal makes accounts in the database, which takes much less time than over
// REST. All have one password and its hash, which Nautobot works out again, at
// full cost, whenever it checks one of them.
func addToReal(ctx context.Context, server *servers.Nautobot, all []account) error {
	var rows []map[string]string
	for _, a := range all {
		rows = append(rows, map[string]string{"username": a.username, "token": a.token, "owner": a.owner()})
	}
	text, err := json.Marshal(map[string]any{
		"rows": rows, "password": all[0].password, "first_name": firstName, "description": description, "group": managedGroup,
	})
	if err != nil {
		return err
	}
	file, err := os.CreateTemp("", "accounts-*.json")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(file.Name()) }()
	if _, err := file.Write(text); err != nil {
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	_, err = server.Python(ctx, `
import json
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import Group
from nautobot.users.models import Token, User
given = json.load(open(`+strconv.Quote(file.Name())+`))
password = make_password(given["password"])
users = User.objects.bulk_create([User(username=r["username"], password=password, first_name=given["first_name"], last_name=r["owner"]) for r in given["rows"]])
Token.objects.bulk_create([Token(user=u, key=r["token"], description=given["description"] + r["owner"]) for u, r in zip(users, given["rows"])])
Group.objects.get(name=given["group"]).user_set.add(*users)
`)
	return err
}

// sync runs the program once, and fails if it found anything to do.
func (c *crowd) sync(ctx context.Context, p programs, to address, flags ...string) (measurement, int, error) {
	args := []string{"sync", "-n", namespace, "--cluster", clusterName, "--parallel", strconv.Itoa(parallel), "-q"}
	m, out, err := c.runProgram(ctx, p, to, append(args, flags...)...)
	if err != nil {
		return m, 0, err
	}
	found := regexp.MustCompile(`"unchanged":(\d+),"changed":0,"refused":0,"failed":0`).FindSubmatch(out)
	if found == nil {
		return m, 0, fmt.Errorf("sync found something to do:\n%s", out)
	}
	unchanged, err := strconv.Atoi(string(found[1]))
	return m, unchanged, err
}

// whole is sync for all the Secrets.
func (c *crowd) whole(ctx context.Context, p programs, to address, flags ...string) (measurement, error) {
	m, unchanged, err := c.sync(ctx, p, to, flags...)
	if err == nil && unchanged != len(c.accounts) {
		err = fmt.Errorf("sync looked at %d Secrets of %d", unchanged, len(c.accounts))
	}
	return m, err
}

// recordSync returns what a run of sync sends.
func (c *crowd) recordSync(ctx context.Context, p programs, flags ...string) (requests, error) {
	return c.record(func(at address) error {
		_, err := c.whole(ctx, p, at, flags...)
		return err
	})
}

// compare measures sync beside the bare loop of the same requests, in turn.
func (c *crowd) compare(ctx context.Context, p programs, r *results, runs int, name string, sent requests, flags ...string) (program, floor figure, err error) {
	script := c.script(sent, account{}, account{})
	script.Parallel = parallel
	var ours, bare []measurement
	for range runs {
		one, err := c.whole(ctx, p, c.at(), flags...)
		if err != nil {
			return program, floor, err
		}
		other, err := c.runFloor(ctx, p, script)
		if err != nil {
			return program, floor, err
		}
		ours, bare = append(ours, one), append(bare, other)
		fmt.Fprintf(os.Stderr, "%s: %.1f s, %s %.1f s\n", name, one.wall.Seconds(), bareLoop, other.wall.Seconds())
	}
	program = newFigure(name, ourProgram, len(c.accounts), sent, ours)
	floor = newFigure(name, bareLoop, len(c.accounts), sent, bare)
	floor.Memory = spread{} // it has all its requests in memory
	r.add(program)
	r.add(floor)
	r.atMost(name, "requests per Secret", float64(program.ToNautobot)/float64(len(c.accounts)), 1.05)
	return program, floor, nil
}

// shards measures several runs at the same time, each with a part of the Secrets.
func (c *crowd) shards(ctx context.Context, p programs, r *results, runs int, name string, flags ...string) error {
	var all []measurement
	for range runs {
		var group sync.WaitGroup
		parts, done, failed := make([]measurement, shards), make([]int, shards), make([]error, shards)
		begin := time.Now()
		before, err := serverCPU()
		if err != nil {
			return err
		}
		for i := range shards {
			group.Go(func() {
				shard := fmt.Sprintf("%d/%d", i, shards)
				parts[i], done[i], failed[i] = c.sync(ctx, p, c.at(), append([]string{"--shard", shard}, flags...)...)
			})
		}
		group.Wait()
		if err := errors.Join(failed...); err != nil {
			return err
		}
		sum := measurement{wall: time.Since(begin)}
		after, err := serverCPU()
		if err != nil {
			return err
		}
		sum.server = after - before
		looked := 0
		for i, m := range parts {
			sum.cpu += m.cpu
			sum.memory = max(sum.memory, m.memory)
			looked += done[i]
		}
		if looked != len(c.accounts) {
			return fmt.Errorf("%d shards looked at %d Secrets of %d", shards, looked, len(c.accounts))
		}
		all = append(all, sum)
	}
	r.add(newFigure(name, fmt.Sprintf("%d shards", shards), len(c.accounts), nil, all))
	return nil
}

// overTLS measures sync behind a TLS server that counts handshakes.
func (c *crowd) overTLS(ctx context.Context, p programs, r *results, runs int, name string, flags ...string) error {
	to, err := url.Parse(c.nautobot)
	if err != nil {
		return err
	}
	var handshakes, reads atomic.Int64
	proxy := &httputil.ReverseProxy{
		Transport: &http.Transport{MaxIdleConnsPerHost: 2 * parallel},
		Rewrite:   func(p *httputil.ProxyRequest) { p.SetURL(to) },
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		reads.Add(1)
		proxy.ServeHTTP(w, req)
	}))
	server.TLS = &tls.Config{VerifyConnection: func(tls.ConnectionState) error {
		handshakes.Add(1)
		return nil
	}}
	server.StartTLS()
	defer server.Close()
	ca := filepath.Join(c.dir, "ca.pem")
	encoded := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(ca, encoded, 0o600); err != nil {
		return err
	}
	var all []measurement
	for range runs {
		m, err := c.whole(ctx, p, address{server.URL, c.kubeconfig, ca}, flags...)
		if err != nil {
			return err
		}
		all = append(all, m)
	}
	f := newFigure(name, ourProgram, len(c.accounts), nil, all)
	f.ToNautobot, f.Handshakes = int(reads.Load())/runs, int(handshakes.Load())/runs
	r.add(f)
	r.atMost(name, "handshakes per 50 reads", 50*float64(handshakes.Load())/float64(reads.Load()), 1)
	return nil
}

// byPassword is the same requests with the accounts' passwords for their tokens.
func (c *crowd) byPassword(sent requests) requests {
	basic := map[string]string{}
	for _, a := range c.accounts {
		basic["Token "+a.token] = a.basic()
	}
	var changed requests
	for _, r := range sent {
		if login, ok := basic[r.Header.Get("Authorization")]; ok {
			r.Header = r.Header.Clone()
			r.Header.Set("Authorization", login)
		}
		changed = append(changed, r)
	}
	return changed
}

// requests are what was sent in a run.
type requests []replay.Request

func (r requests) toKubernetes() int {
	n := 0
	for _, one := range r {
		if one.ToKubernetes {
			n++
		}
	}
	return n
}

// serverCPU is the CPU time that all processes have taken that descend from this
// one and are still there, those that they have waited for included.
func serverCPU() (time.Duration, error) {
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return 0, err
	}
	type process struct{ parent, ticks int }
	all := map[int]process{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		// "PID (NAME) STATE PPID ..."; utime is the 14th field, then stime, cutime, cstime.
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
		var p process
		p.parent, _ = strconv.Atoi(fields[1])
		for _, field := range fields[11:15] {
			ticks, _ := strconv.Atoi(field)
			p.ticks += ticks
		}
		all[pid] = p
	}
	var total int
	for pid, p := range all {
		for parent := p.parent; parent > 1 && pid != os.Getpid(); parent = all[parent].parent {
			if parent == os.Getpid() {
				total += p.ticks
				break
			}
		}
	}
	return time.Duration(total) * time.Second / 100, nil // USER_HZ
}
