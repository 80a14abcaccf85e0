# Prints what a URL answers, by the library that the first argument names.
use strict;
use warnings;
my ($library, $url) = @ARGV;
if ($library eq 'lwp') {
    require LWP::UserAgent;
    my $r = LWP::UserAgent->new->get($url);
    die $r->status_line, "\n" unless $r->is_success;
    print $r->content;
} else {
    require HTTP::Tiny;
    my $r = HTTP::Tiny->new(verify_SSL => 1)->get($url);
    die $r->content, "\n" unless $r->{success};
    print $r->{content};
}
