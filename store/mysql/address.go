package mysql

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	mysql "github.com/go-sql-driver/mysql"

	"github.com/gobellhop/bellhop/store/internal/setting"
)

// parameters are what may stand behind the question mark of an address.
type parameters struct {
	migrate           string
	connections       int
	connect           time.Duration
	tls               string
	ca, cert, key, sn string
	socket            string
}

// setters read the parameters.
var setters = map[string]func(p *parameters, value string) error{
	"migrate":     func(p *parameters, v string) error { p.migrate = v; return setting.Among(v, "auto", "off", "only") },
	"connections": func(p *parameters, v string) error { return setting.Number(v, 2, 10_000, &p.connections) },
	"connect_timeout": func(p *parameters, v string) (err error) {
		if p.connect, err = time.ParseDuration(v); err != nil || p.connect <= 0 {
			return errors.New("want a duration such as 5s")
		}
		return nil
	},
	"tls": func(p *parameters, v string) error {
		p.tls = v
		return setting.Among(v, "off", "preferred", "unverified", "on")
	},
	"tls_ca":   func(p *parameters, v string) error { p.ca = v; return nil },
	"tls_cert": func(p *parameters, v string) error { p.cert = v; return nil },
	"tls_key":  func(p *parameters, v string) error { p.key = v; return nil },
	"tls_name": func(p *parameters, v string) error { p.sn = v; return nil },
	"socket":   func(p *parameters, v string) error { p.socket = v; return nil },
}

// target is what an address names.
type target struct {
	parameters
	config *mysql.Config
}

// String names the server and the database, for messages.
func (t *target) String() string {
	return fmt.Sprintf("database %q at %s", t.config.DBName, t.config.Addr)
}

// parse reads an address: mysql://user:password@host:port/database?parameters.
func parse(address string) (*target, error) {
	u, err := url.Parse(address)
	if err != nil {
		var inner *url.Error
		if errors.As(err, &inner) { // its text has the address in it, with the password
			err = inner.Err
		}
		return nil, fmt.Errorf("the address cannot be read: %w; escape special characters of the password, as in %%40 for @", err)
	}
	database := strings.TrimPrefix(u.Path, "/")
	switch {
	case u.Scheme != "mysql" || u.Opaque != "":
		return nil, errors.New(`want an address like "mysql://user:password@host:3306/database"`)
	case database == "":
		return nil, errors.New(`the address names no database: write it behind the host, as in "mysql://user@host/jobs"`)
	case strings.Contains(database, "/"):
		return nil, fmt.Errorf("%q is no name of a database: want one name behind the host", database)
	case u.Fragment != "":
		return nil, errors.New("the address has a # in it: write %23 if it belongs to the password or a name")
	}
	t := &target{parameters: parameters{migrate: "off", connections: 10, connect: 10 * time.Second, tls: "off"}, config: mysql.NewConfig()}
	values, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, fmt.Errorf("the parameters cannot be read: %w", err)
	}
	for name, list := range values {
		set, value := setters[name], list[len(list)-1]
		if set == nil {
			return nil, fmt.Errorf("the parameter %.64q is unknown: there are connect_timeout, connections, migrate, socket, tls, tls_ca, tls_cert, tls_key and tls_name", name)
		}
		if err := set(&t.parameters, value); err != nil {
			return nil, fmt.Errorf("the parameter %s=%.64s: %w", name, value, err)
		}
	}
	c := t.config
	c.User, c.DBName, c.Timeout = u.User.Username(), database, t.connect
	c.Passwd, _ = u.User.Password()
	switch {
	case t.socket != "" && u.Host != "":
		return nil, fmt.Errorf("the address names both the host %s and the socket %s: leave one out", u.Host, t.socket)
	case t.socket != "":
		c.Net, c.Addr = "unix", t.socket
	case u.Hostname() == "":
		return nil, errors.New(`the address names no host: write it behind the @, or name a socket, as in "mysql://user@/jobs?socket=/run/mysqld/mysqld.sock"`)
	default:
		port := u.Port()
		if port == "" {
			port = "3306"
		}
		c.Net, c.Addr = "tcp", net.JoinHostPort(u.Hostname(), port)
	}
	if c.TLS, err = t.encryption(u.Hostname()); err != nil {
		return nil, err
	}
	c.AllowFallbackToPlaintext = t.tls == "preferred"
	return t, nil
}

// encryption returns how the connection is encrypted; nil if it is not.
func (p *parameters) encryption(host string) (*tls.Config, error) {
	if p.tls == "off" {
		if p.ca != "" || p.cert != "" || p.key != "" || p.sn != "" {
			return nil, errors.New("the address gives files or a name for TLS, but does not turn it on: add tls=on")
		}
		return nil, nil
	}
	c := &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12, InsecureSkipVerify: p.tls == "unverified" || p.tls == "preferred"}
	if p.sn != "" {
		c.ServerName = p.sn
	}
	if p.ca != "" {
		pem, err := os.ReadFile(p.ca)
		if err != nil {
			return nil, fmt.Errorf("the file of tls_ca cannot be read: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("the file of tls_ca, %s, has no certificate in it", p.ca)
		}
	}
	if (p.cert == "") != (p.key == "") {
		return nil, errors.New("tls_cert and tls_key belong together: give both or none")
	}
	if p.cert != "" {
		pair, err := tls.LoadX509KeyPair(p.cert, p.key)
		if err != nil {
			return nil, fmt.Errorf("the files of tls_cert and tls_key cannot be used: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}
