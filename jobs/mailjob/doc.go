// Package mailjob is the built-in kind "mail.send": one mail, handed to a mail
// server over SMTP.
//
// A job's arguments ([Args]) are the mail: from, to, subject, text. They are
// checked before the job is enqueued (args.go), so that what is enqueued can be
// sent, and so that no text from outside can add a header or a recipient.
//
// # How a job passes through
//
// The handler that [New] makes checks the arguments again, since they may have
// come by another way, and writes the whole message (message.go). Its
// Message-ID and Date are the same in all attempts: the one is made from
// [bellhop.Key], the other is when the job was enqueued, or the later time that
// it was to run at. Then one connection is made, for this job alone, and the
// message handed over in a straight line (send.go): connect, TLS, login,
// sender, recipients, data. The reply that went wrong decides (verdict.go):
//
//	the server took the data    succeeded; Message-ID and the server's words stay as the job's result
//	4xx at any point            another try
//	connection, TLS, login      another try, also with 5xx: they are mended at the server or in its configuration
//	5xx to the sender, to a recipient or to the data: dead, no retry helps, a person must look
//
// # Several recipients
//
// A job is one mail in one envelope: either all recipients get it or none. If
// the server refuses one of them, the mail is given up before its data is sent:
// the job is dead if any was refused for good, and is retried if some were put
// off. So nobody gets a mail twice because another's mailbox was full, and
// running a dead job again does no harm. Where recipients have nothing to do
// with each other, enqueue a job for each of them
// ([bellhop.Definition.EnqueueMany]): none then waits for another.
//
// # More than once
//
// If the connection breaks after the data was sent and before the server's
// answer came, the server may have taken the mail. It is sent again, with the
// same Message-ID, by which mail servers and readers tell a double.
package mailjob
