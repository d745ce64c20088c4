// Package web is the dashboard: pages on which people see what their jobs do, why, and since when, and mend what is wrong.
//
// [New] makes an [net/http.Handler] of a [bellhop.Client]; it fits into any router under any prefix. It refuses everybody until
// Options.Authorize says who may come in.
//
//	handler, err := web.New(client, web.Options{Prefix: "/admin/jobs", Authorize: access.Basic("ops", password, access.Admin)})
//	mux.Handle("/admin/jobs/", handler)
//
// Pages are made on the server from html/template and work without JavaScript, for reading and for single actions. What scripts
// add: pages that change as jobs do, charts to point at, keys, and a palette of commands. Everything that is served is in this
// package, without a build step; assets.lock holds the hashes.
//
// How a job passes through: it does not. Pages read the store, the rollups that workers write and the records of control and
// audit, in a bounded number of bounded calls; a click becomes one [bellhop.Action]. What all browsers watch is looked up once
// for all of them: see snapshot.go and live.go.
//
// # Files
//
// server.go lists the routes, route.go leads a request through the door to its handler, view.go makes the page. Each page has a
// Go file and a template of its name. A handler gets a *view and returns a *page (GET) or a *done (POST); templates define the
// blocks "content" and, if the page is to change while it is watched, "live".
package web
