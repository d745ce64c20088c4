// Package builtin is what the built-in kinds of jobs have in common.
//
// A job of such a kind passes through it twice: when it is enqueued, [Define]'s strict reading and the arguments' own check
// refuse what could not be done; and when an attempt has failed, a [Fault] is what is told and kept of it.
package builtin
