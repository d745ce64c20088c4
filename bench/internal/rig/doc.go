// Package rig holds what the measurements stand on: private servers with the settings of a production server, their counters, the
// processes of the contenders, and a proxy that makes the way to a server longer.
//
// Jobs pass through the servers only. Each contender gets an empty database of its own for every run; nothing is shared between
// runs but the server's process.
package rig
