// Package postgres keeps jobs in PostgreSQL.
package postgres
