package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/gobellhop/bellhop/access"
)

// doorFlags say who may come in to a server.
type doorFlags struct {
	TokenFile    string   `help:"A file with a token that callers may send (Authorization: Bearer TOKEN), or browsers as the password of the user bellhop; it lets them do everything. BELLHOP_TOKEN may hold the token itself." placeholder:"FILE" from:"BELLHOP_TOKEN_FILE" group:"door"`
	User         string   `help:"The name of a person who may do everything, with the password in BELLHOP_BASIC_AUTH_PASSWORD or --password-file." placeholder:"NAME" from:"BELLHOP_BASIC_AUTH_USER" group:"door"`
	PasswordFile string   `help:"A file with the password of --user." placeholder:"FILE" from:"BELLHOP_BASIC_AUTH_PASSWORD_FILE" group:"door"`
	UsersFile    string   `help:"A file with users, one a line: name, password, role, and roles on single queues, as in: anna long-password read mail=act." placeholder:"FILE" from:"BELLHOP_USERS_FILE" group:"door"`
	Host         []string `help:"Names by which callers may address the server, besides loopback. Default: any if it wants a token or password and listens elsewhere than on loopback, else none." placeholder:"NAME" from:"BELLHOP_HOSTS" group:"door"`
	Proxy        []string `help:"Networks of the proxies in front, whose X-Forwarded-For tells the client's address. Default: none." placeholder:"NETWORK" from:"BELLHOP_PROXIES" group:"door"`
	RateLimit    int      `help:"How many requests a second one client may make; -1 for no limit. Clients on this machine are not limited." placeholder:"N" default:"1000" from:"BELLHOP_RATE_LIMIT" group:"door"`
	Prefix       string   `help:"The path under which a proxy shows everything, such as /bellhop. It passes requests on with it." placeholder:"PATH" from:"BELLHOP_PREFIX" group:"door"`
	ReadOnly     bool     `help:"Refuse all that changes something." from:"BELLHOP_READ_ONLY" group:"door"`
}

// Timeouts and limits of HTTP servers; those of a body belong to the API and to the dashboard.
const (
	readHeaderTimeout = 10 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 64 << 10
)

// entrance is an open door: where callers come to, and what decides about them.
type entrance struct {
	listener net.Listener
	door     *access.Door
	prefix   string // of all paths, without a slash at its end
	locked   bool   // callers must show who they are
	token    bool   // a token is one way
}

// openDoor makes the door and listens, unless that would let strangers in.
func (f *doorFlags) openDoor(ctx context.Context, a *app, given string) (*entrance, error) {
	prefix := strings.TrimSuffix(f.Prefix, "/")
	if !prefixForm.MatchString(prefix) {
		return nil, refused("%s: %q is not usable: want a path such as /bellhop", a.source("prefix"), f.Prefix)
	}
	authorize, err := f.authorize(a)
	if err != nil {
		return nil, err
	}
	address, err := listenAddress(given)
	if err != nil {
		return nil, err
	}
	locked := authorize != nil
	if !locked {
		if !address.IP.IsLoopback() {
			return nil, refused("--listen: %s can be reached from other machines, and anybody there could enqueue jobs: "+
				"set a token by BELLHOP_TOKEN or --token-file, a password by --user, or users by --users-file; or listen on 127.0.0.1", given)
		}
		if slices.Contains(f.hosts(), "*") {
			return nil, refused("%s: \"*\" allows any host, so that any web page could reach the server: set a token or a password too, or name the hosts", a.source("host"))
		}
		authorize = access.Everyone(access.Admin)
	}
	proxies, err := f.proxies(a)
	if err != nil {
		return nil, err
	}
	door := &access.Door{Authorize: authorize, Hosts: f.hosts(), ReadOnly: f.ReadOnly, Proxies: proxies, Rate: f.RateLimit}
	if locked && len(door.Hosts) == 0 && !address.IP.IsLoopback() {
		// It is the names of others that a web page could misuse, and no web page knows the token or password.
		door.Hosts = []string{"*"}
	}
	if err := door.Check(); err != nil {
		return nil, a.settingError(err)
	}
	if f.RateLimit == 0 || f.RateLimit < -1 {
		return nil, usage("%s: %d is out of range: want at least 1, or -1 for no limit", a.source("rate-limit"), f.RateLimit)
	}
	listener, err := listen(ctx, given, address)
	if err != nil {
		return nil, err
	}
	return &entrance{listener, door, prefix, locked, f.TokenFile != "" || a.env("BELLHOP_TOKEN") != ""}, nil
}

// listenAddress reads the flag --listen.
func listenAddress(text string) (*net.TCPAddr, error) {
	address, err := net.ResolveTCPAddr("tcp", text)
	if err != nil {
		return nil, refused("--listen: %q is not an address to listen on: want HOST:PORT, such as 127.0.0.1:8080: %w", text, err)
	}
	return address, nil
}

func listen(ctx context.Context, given string, address *net.TCPAddr) (net.Listener, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address.String())
	if err != nil {
		var system *os.SyscallError
		if errors.As(err, &system) {
			err = system.Err
		}
		why := "--listen chooses another address"
		switch {
		case errors.Is(err, syscall.EADDRINUSE):
			why = "is another server there? " + why
		case errors.Is(err, os.ErrPermission):
			why = "ports below 1024 are for the administrator; " + why
		}
		return nil, fmt.Errorf("listen on %s: %w: %s", given, err, why)
	}
	return listener, nil
}

// url is where to speak to the server.
func (e *entrance) url() string { return "http://" + e.listener.Addr().String() + e.prefix }

// describeDoor says how to come in.
func (a *app) describeDoor(e *entrance) {
	switch {
	case e.locked && e.token:
		a.fact("token", "needed: Authorization: Bearer …; in a browser user "+dashboardUser+", and the token as password")
	case e.locked:
		a.fact("log in", "user and password are needed")
	}
	if e.door.ReadOnly {
		a.fact("", "read-only: nothing can be changed")
	}
}

// httpServer is a server with limits on what callers may take their time with.
func httpServer(handler http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler: handler, ReadHeaderTimeout: readHeaderTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
}

func (f *doorFlags) hosts() []string {
	hosts := make([]string, len(f.Host))
	for i, h := range f.Host {
		hosts[i] = strings.TrimSpace(h)
	}
	return hosts
}

// proxies reads the flag --proxy.
func (f *doorFlags) proxies(a *app) ([]netip.Prefix, error) {
	var networks []netip.Prefix
	for _, text := range f.Proxy {
		network, err := netip.ParsePrefix(strings.TrimSpace(text))
		if err != nil {
			return nil, usage("%s: %.64q is no network: write it like 10.0.0.0/8, and one address like 10.0.0.1/32", a.source("proxy"), text)
		}
		networks = append(networks, network)
	}
	return networks, nil
}

// authorize returns what decides who comes in; nil if nothing was said.
func (f *doorFlags) authorize(a *app) (access.Authorize, error) {
	var all []access.Authorize
	token, err := a.secret("the token", "BELLHOP_TOKEN", "token-file", f.TokenFile)
	if err != nil {
		return nil, err
	}
	if token != "" {
		if strings.ContainsFunc(token, func(c rune) bool { return c <= ' ' || c > '~' }) {
			return nil, refused("%s: it holds a character that no header can carry: want visible ASCII characters without spaces", a.source("token-file"))
		}
		if len(token) < access.MinPassword {
			return nil, refused("%s: the token is too short: want at least %d bytes, and better 32 that nobody can guess", a.source("token-file"), access.MinPassword)
		}
		all = append(all, access.Basic(dashboardUser, token, access.Admin), access.Bearer(token, access.Admin))
	}
	password, err := a.secret("the password", "BELLHOP_BASIC_AUTH_PASSWORD", "password-file", f.PasswordFile)
	switch {
	case err != nil:
		return nil, err
	case (f.User == "") != (password == ""):
		return nil, usage("a user needs a password, and a password a user: give both BELLHOP_BASIC_AUTH_USER (--user) and BELLHOP_BASIC_AUTH_PASSWORD (--password-file)")
	case f.User != "":
		if len(password) < access.MinPassword || strings.Contains(f.User, ":") {
			return nil, refused("%s: want a password of at least %d bytes, and a name without a colon", a.source("user"), access.MinPassword)
		}
		all = append(all, access.Basic(f.User, password, access.Admin))
	}
	if f.UsersFile != "" {
		text, err := readSecret("the users", f.UsersFile)
		if err != nil {
			return nil, err
		}
		users, err := access.ParseUsers(text)
		if err != nil {
			return nil, refused("%s: %s: %w", a.source("users-file"), f.UsersFile, err)
		}
		all = append(all, access.Users(users))
	}
	if len(all) == 0 {
		return nil, nil
	}
	return access.First(all...), nil
}

// secret returns a secret that an environment variable or a file may hold; empty if neither does.
func (a *app) secret(what, variable, flag, file string) (string, error) {
	secret := a.env(variable)
	switch {
	case file != "" && secret != "":
		return "", usage("give %s or --%s, not both", variable, flag)
	case file != "":
		var err error
		if secret, err = readSecret(what, file); err != nil {
			return "", err
		}
	case secret != "":
		a.origin[flag] = variable
	}
	a.hide(secret)
	return secret, nil
}

// dashboardUser is who browsers log in as with the token.
const dashboardUser = "bellhop"

// doorSettings are the flags that settings of a door come from.
var doorSettings = map[string]string{"Hosts": "host", "Proxies": "proxy"}

// settingError tells which flags or environment variables hold settings that a door cannot use.
func (a *app) settingError(err error) error {
	var joined interface{ Unwrap() []error }
	if !errors.As(err, &joined) {
		return refused("%w", err)
	}
	var texts []string
	for _, err := range joined.Unwrap() {
		var bad *access.SettingError
		if errors.As(err, &bad) && doorSettings[bad.Setting] != "" {
			texts = append(texts, a.source(doorSettings[bad.Setting])+": "+bad.Reason)
		} else {
			texts = append(texts, err.Error())
		}
	}
	return refused("%s", strings.Join(texts, "; "))
}

var prefixForm = regexp.MustCompile(`^(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*$`)
