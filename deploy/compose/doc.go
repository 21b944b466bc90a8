// Package compose holds a Compose file for one machine; its test reads it as Compose does.
package compose
