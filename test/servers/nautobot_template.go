package servers

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
)

// adminUsername is the name of the superuser of every Nautobot.
const adminUsername = "admin"

// templateFormat is part of the names of the files in the cache that hold a
// migrated database. Increase it when a change here makes the old files wrong.
const templateFormat = 1

// nautobotTemplate is what every server of one version starts from.
type nautobotTemplate struct {
	program  string // nautobot-server
	database string // archive of a migrated database with a superuser

	// Of the superuser in the database.
	Password string `json:"password"`
	Token    string `json:"token"`
}

// prepareNautobot finds the template of a version in the cache, or makes it.
func prepareNautobot(ctx context.Context, version string) (*nautobotTemplate, error) {
	if !regexp.MustCompile(`^[0-9]+(\.[0-9a-z]+)+$`).MatchString(version) {
		return nil, fmt.Errorf("not a version: %q", version)
	}
	if err := needPackages(ctx, "Nautobot", nautobotPackages); err != nil {
		return nil, err
	}
	cache, unlock, err := lockedCache(ctx, "nautobot-"+version)
	if err != nil {
		return nil, err
	}
	defer unlock()

	program, err := installNautobot(ctx, cache, version)
	if err != nil {
		return nil, err
	}
	_, postgresMajor, err := postgresPrograms()
	if err != nil {
		return nil, err
	}
	name := filepath.Join(cache, fmt.Sprintf("database-%d-postgresql%d", templateFormat, postgresMajor))
	template := &nautobotTemplate{program: program, database: name + ".tar"}
	if !exists(template.database) {
		return template, template.create(ctx, version, name+".json")
	}
	credentials, err := os.ReadFile(name + ".json")
	if err == nil {
		err = json.Unmarshal(credentials, template)
	}
	if err != nil {
		return nil, fmt.Errorf("%w; remove %s.* to have them created again", err, name)
	}
	return template, nil
}

// installNautobot installs a version in a Python environment in the cache,
// unless it is there, and returns the path of nautobot-server.
func installNautobot(ctx context.Context, cache, version string) (string, error) {
	venv := filepath.Join(cache, "venv")
	program := filepath.Join(venv, "bin", "nautobot-server")
	complete := filepath.Join(venv, "complete") // an environment cannot be renamed when it is done
	if exists(complete) {
		return program, nil
	}
	progress("installing Nautobot %s (a minute or more, once)", version)
	if err := os.RemoveAll(venv); err != nil {
		return "", err
	}
	if _, err := run(ctx, exec.Command("python3", "-m", "venv", venv)); err != nil {
		return "", err
	}
	pip := exec.Command(filepath.Join(venv, "bin", "pip"), "install", "--disable-pip-version-check", "nautobot=="+version)
	if err := runLogged(ctx, filepath.Join(cache, "pip.log"), pip); err != nil {
		return "", err
	}
	return program, os.WriteFile(complete, nil, 0o600)
}

// create migrates an empty database, makes the superuser, and stores both in
// the cache. The archive comes last: while it is missing, nothing else counts.
func (t *nautobotTemplate) create(ctx context.Context, version, credentials string) error {
	t.Password = rand.Text()
	token := make([]byte, 20)
	_, _ = rand.Read(token) // never fails
	t.Token = hex.EncodeToString(token)
	encoded, err := json.Marshal(t)
	if err != nil {
		return err
	}
	if err := os.WriteFile(credentials, encoded, 0o600); err != nil {
		return err
	}

	progress("migrating a database for Nautobot %s (several minutes, once)", version)
	_, err = startInRunDir(ctx, "nautobot-"+version+"-migration", func(ctx context.Context, dir string) (any, error) {
		var db *postgres
		initialize := func(empty *postgres) error {
			db = empty
			return db.initialize(ctx)
		}
		n, err := startBackends(ctx, dir, version, t.program, initialize)
		if err != nil {
			return nil, err
		}
		defer stopAll(n.processes)
		if err := db.createDatabase(ctx); err != nil {
			return nil, err
		}
		if err := runLogged(ctx, filepath.Join(dir, "migrate.log"), n.command("migrate", "--no-input", "--no-color")); err != nil {
			return nil, err
		}
		n.env = append(n.env, "ADMIN="+adminUsername, "PASSWORD="+t.Password, "TOKEN="+t.Token)
		if _, err := n.Python(ctx, `
import os
from nautobot.users.models import Token, User
user = User.objects.create_superuser(os.environ["ADMIN"], "admin@example.com", os.environ["PASSWORD"])
Token.objects.create(user=user, key=os.environ["TOKEN"])
`); err != nil {
			return nil, err
		}
		stopAll(n.processes) // cleanly, so that the archive needs no recovery
		unfinished := t.database + ".new"
		if err := db.save(ctx, unfinished); err != nil {
			return nil, err
		}
		if err := os.Rename(unfinished, t.database); err != nil {
			return nil, err
		}
		return nil, os.RemoveAll(dir)
	})
	return err
}
