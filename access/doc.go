// Package access says who may do what: roles, viewers, and the door that the API and the dashboard share.
//
// No job passes through this package; every request that looks at jobs or changes them does. A request comes to a [Door].
// The door looks at the host that it was sent to, at the page that it comes from, at how much its client has asked of late, and
// then calls an [Authorize] function, which the program gives: that returns a [Viewer], or says that the request is a
// stranger's. What the viewer may do is a [Role] for each queue, and whoever serves the request asks for it again at each
// action: [Viewer.Allow] for one queue, [Viewer.AllowAll] for what concerns the whole store, [Viewer.Narrow] for what lists jobs.
//
// # Roles
//
//	read    looks at jobs, queues, processes, metrics
//	act     besides: enqueues, retries, runs now, cancels and discards jobs; pauses queues and sets their concurrency
//	admin   besides: deletes jobs; if it holds on all queues: acts on all queues at once, drains processes, sees secrets
//	        and the audit
//
// A viewer who has no role on a queue does not see it, nor its jobs.
package access
