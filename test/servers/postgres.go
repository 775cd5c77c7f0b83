package servers

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// postgres is a PostgreSQL whose data are thrown away with its directory. It
// trusts whoever reaches its loopback port.
type postgres struct {
	programs string // directory of initdb and the like
	data     string
	owner    *syscall.Credential // runs it, as PostgreSQL refuses to run as root
	port     int
	process  *process
}

// newPostgres prepares an empty data directory in dir.
func newPostgres(dir string, port int) (*postgres, error) {
	programs, _, err := postgresPrograms()
	if err != nil {
		return nil, err
	}
	db := &postgres{programs: programs, data: filepath.Join(dir, "postgresql"), port: port}
	if err := os.Mkdir(db.data, 0o700); err != nil {
		return nil, err
	}
	if os.Geteuid() != 0 {
		return db, nil
	}
	// The package postgresql makes this user.
	account, err := user.Lookup("postgres")
	if err != nil {
		return nil, fmt.Errorf("PostgreSQL needs an unprivileged user: %w; install the package postgresql", err)
	}
	uid, _ := strconv.Atoi(account.Uid)
	gid, _ := strconv.Atoi(account.Gid)
	db.owner = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	if err := os.Chown(db.data, uid, gid); err != nil {
		return nil, err
	}
	return db, os.Chmod(dir, 0o711) // so that the user reaches its directory
}

// command is a command that is run in the data directory by its owner.
func (db *postgres) command(program string, args ...string) *exec.Cmd {
	command := exec.Command(program, args...)
	command.Dir = db.data
	command.SysProcAttr = &syscall.SysProcAttr{Credential: db.owner}
	return command
}

// initialize makes an empty database server with a superuser named nautobot.
func (db *postgres) initialize(ctx context.Context) error {
	_, err := run(ctx, db.command(filepath.Join(db.programs, "initdb"), "--pgdata=.",
		"--username=nautobot", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"))
	return err
}

// save writes the data directory of a stopped server to the file archive.
func (db *postgres) save(ctx context.Context, archive string) error {
	file, err := os.OpenFile(archive, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	command := db.command("tar", "--create", ".")
	command.Stdout = file // not opened by tar, whose user cannot reach it
	if err := runBound(ctx, command); err != nil {
		return fmt.Errorf("archive the database: %w", err)
	}
	return file.Close()
}

// restore fills the data directory from the file archive.
func (db *postgres) restore(ctx context.Context, archive string) error {
	file, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer file.Close()
	command := db.command("tar", "--extract")
	command.Stdin = file
	if _, err := run(ctx, command); err != nil {
		return fmt.Errorf("unpack %s: %w; remove the file to have it created again", archive, err)
	}
	return nil
}

// start starts the server and returns when it accepts connections.
func (db *postgres) start(ctx context.Context, logDir string) error {
	command := db.command(filepath.Join(db.programs, "postgres"), "-D", ".",
		"-c", "listen_addresses=127.0.0.1",
		"-c", "port="+strconv.Itoa(db.port),
		"-c", "unix_socket_directories=",
		"-c", "dynamic_shared_memory_type=mmap", // files here, that go with the directory
		"-c", "fsync=off", "-c", "full_page_writes=off", "-c", "synchronous_commit=off",
	)
	var err error
	// SIGINT asks it not to wait for its clients.
	if db.process, err = startProcess(logDir, "postgresql", syscall.SIGINT, command); err != nil {
		return err
	}
	isReady := func(ctx context.Context) error {
		_, err := run(ctx, exec.Command(filepath.Join(db.programs, "pg_isready"),
			"--host=127.0.0.1", "--port="+strconv.Itoa(db.port), "--quiet"))
		return err
	}
	if err := db.process.ready(ctx, isReady); err != nil {
		db.process.stop()
		return err
	}
	return nil
}

// createDatabase makes an empty database named nautobot.
func (db *postgres) createDatabase(ctx context.Context) error {
	_, err := run(ctx, exec.Command(filepath.Join(db.programs, "createdb"),
		"--host=127.0.0.1", "--port="+strconv.Itoa(db.port), "--username=nautobot", "nautobot"))
	return err
}

// query returns the rows of all statements, a line each.
func (db *postgres) query(ctx context.Context, sql string) (string, error) {
	command := exec.Command(filepath.Join(db.programs, "psql"), "--host=127.0.0.1", "--port="+strconv.Itoa(db.port),
		"--username=nautobot", "--no-psqlrc", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1", "nautobot")
	command.Stdin = strings.NewReader(sql)
	return run(ctx, command)
}

// startRedis starts a Redis that keeps nothing on disk.
func startRedis(ctx context.Context, dir string, port int) (*process, error) {
	command := exec.Command("redis-server", "--bind", "127.0.0.1", "--port", strconv.Itoa(port),
		"--save", "", "--appendonly", "no", "--daemonize", "no")
	command.Dir = dir
	redis, err := startProcess(dir, "redis", syscall.SIGTERM, command)
	if err != nil {
		return nil, err
	}
	listens := func(ctx context.Context) error {
		connection, err := new(net.Dialer).DialContext(ctx, "tcp", "127.0.0.1:"+strconv.Itoa(port))
		if err == nil {
			connection.Close()
		}
		return err
	}
	if err := redis.ready(ctx, listens); err != nil {
		redis.stop()
		return nil, err
	}
	return redis, nil
}
