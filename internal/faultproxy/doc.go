// Package faultproxy stands between a client and a server in tests and breaks the connection in the ways that networks do: it
// cuts, refuses, goes silent, forgets connections, swallows the answers to requests that were carried out, and takes its time.
//
// A [Proxy] passes on whatever is said, both ways; its methods change at any moment how:
//
//	p := faultproxy.New(t, server.Address)
//	store := open(t, p.Through(server.Address))
//	swallowed := p.SwallowReplies()
//	go store.Enqueue(...)
//	<-swallowed // it is done, and nobody has said so
//	p.Restore()
//	p.Cut()
//
// A [Pooler] stands before a PostgreSQL server as PgBouncer in transaction mode does: each transaction of a client is carried out on
// another connection to the server, so that nothing which belongs to a session outlives the transaction.
//
// A job passes through here in pieces: the bytes of its enqueue, claim and outcome, on their way to the store's server. What the
// contract promises must hold whatever this package does to them.
package faultproxy
