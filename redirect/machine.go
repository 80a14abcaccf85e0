package redirect

// A Need is one thing that lanes need of a machine, and what was found.
type Need struct {
	Name  string
	OK    bool
	Found string // what is there, or what is missing
	Hint  string // what to do about it, "" if nothing
	Lanes []Lane // who needs it
}

// A Machine is what this machine gives this process.
type Machine struct {
	Kernel string // its release, as uname(2) has it
	UID    int
	Needs  []Need

	// Root says that all is allowed, Contained that all is, but in a user
	// namespace; BPF that the ebpf lane's two capabilities are in effect, Admin
	// that CAP_NET_ADMIN is, and Namespaces that user namespaces can be had.
	Root, Contained, BPF, Admin, Namespaces bool
}
