// Package demo is the shop that `bellhop demo` runs: it shows what a web request waits for, and what changes when that work
// is handed to jobs.
//
// There are two sides. The [World] is everything outside the shop, on loopback: a payment service, a mail server, a mailing
// list, a chat and an analytics service. They speak real HTTP and real SMTP, each takes its time, each can be switched to slow,
// failing or down ([Mode]), and each keeps its own book of what was asked and what was done. The [Shop] is an ordinary
// http.Handler with eight web workers, a checkout and a signup.
//
// A request passes through like this. POST /checkout waits for one of the web workers, the shop checks the input and saves
// the order, and then five effects remain: the charge, the mail, the mailing list, the chat and the analytics. The shop's
// [Form] says which of them run inside the request, one after the other through [Effects], and which are handed off. The
// names of those handed off go to [Store.Save] together with the order, so that a store with transactions keeps the order and
// its jobs in one commit. A worker later calls [Shop.Run] with the effect's name and the order's id; after the charge it saves
// the order as paid and hands off what remains, again in one call. Running an effect of an order again does no harm to the
// order: a state that is reached already is not entered twice.
//
// [Run] is the whole play. It joins the shop to Bellhop: the jobs are declared in jobs.go, an order and its jobs are saved in
// one transaction in orders.go, and everything that runs is started and ended in stage.go.
//
// [Drive] sends orders over real sockets and measures, [RunOutage] takes a service down meanwhile, [World.Check] compares what
// the shop accepted with what the outside world counted, [Follow] looks at an order page as a browser does, and a [Printer]
// shows all of it in a terminal. [World.Panel] lets a person throw the switches.
package demo
