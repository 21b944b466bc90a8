// Package devserver runs Temporal's services and web UI in this process, on a SQLite file.
//
// Rule: what has been acknowledged to a client is on the disk (write-ahead log, synchronous=full), so the process may
// be killed at any moment. One process at a time owns a file: Temporal itself would let two of them ruin it silently.
package devserver
