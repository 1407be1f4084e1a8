// Package node is the composition root: Open wires the packages of the house
// into one running node, Shutdown takes it down in the reverse order. It is
// the only package that knows the concrete types of all the others, and holds
// no logic of its own beyond what one part has to tell another.
//
// Several nodes may live in one process: nothing here is global.
package node
