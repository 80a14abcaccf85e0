package cassette

// A law is one thing that matching holds. Every one is in force; that they can be
// lifted one by one is for the tests, which hold that each is needed.
type law uint64

// What makes requests equal.
const (
	lawPercent    law = 1 << iota // percent-encoding is normalised
	lawQueryOrder                 // order counts within a name only
	lawSignature                  // signatures in queries and forms are left out, as sets
	lawIgnored                    // fields of the program, the hop, the trace, the retry are left out
	lawMedia                      // of Content-Type, the media type counts
	lawCookies                    // the order of cookies does not count
	lawCoding                     // content coding is undone
	lawJSON                       // JSON is compared by content
	lawForm                       // a form is a multiset of pairs
	lawParts                      // a multipart body is its parts, without their boundary
	lawXML                        // XML is compared without insignificant white space
	lawGraphQL                    // white space in GraphQL does not count
	lawFields                     // protobuf is compared by its fields

	// What tells requests apart that look equal.

	lawHard        // Range and the like are part of what is asked for
	lawConditional // 304 and 412 answer conditional requests
	lawRetry       // an idempotency key stands for one key
	lawSoft        // Accept and the like break ties
	lawSecrets     // one placeholder stands for one value

	// What may differ, on evidence.

	lawRedacted // a placeholder in a body or a URL
	lawLearned  // what differed when it was recorded twice
	lawClock    // the time
	lawRenamed  // a random value for another
	lawRPC      // the id of a JSON-RPC call

	// What keeps that from being too much.

	lawAnchor     // a clock is near the time of its recording, and of now
	lawUnseen     // what an origin said before is to be said literally
	lawOneToOne   // one random value for one
	lawResource   // an unknown one in the path of a GET is another resource
	lawReading    // and so it is in a GraphQL query
	lawIdentity   // a query parameter that tells answers apart is no noise
	lawDigest     // a digest names content
	lawHolder     // a JWT of somebody else
	lawFewest     // fewest relaxed values first
	lawSubstitute // what was bound is served
	lawEnd        // the end of the list
)

// has says whether l has all of x.
func (l law) has(x law) bool { return l&x == x }
