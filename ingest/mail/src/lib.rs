//! EML, mbox, Maildir and PST to one Message type; cleaning, threading, reply pairs
