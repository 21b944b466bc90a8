// Package codec encrypts what pawl's workflows take, answer and say before it leaves the process, so that Temporal and its
// database hold ciphertext: AES-256-GCM under keys that Temporal never sees.
//
// Rule: whatever is not encrypted is left as it is when it is read, so that histories from before stay readable; whatever
// is encrypted and cannot be decrypted is an error that names the key and never holds one.
package codec
