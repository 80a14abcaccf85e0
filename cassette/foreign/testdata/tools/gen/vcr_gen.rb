require 'vcr'; require 'net/http'
VCR.configure { |c| c.cassette_library_dir = 'out'; c.hook_into :webmock; c.allow_http_connections_when_no_cassette = true }
U = 'http://api.example.com:8123'
VCR.use_cassette('vcr', record: :all) do
  ['/json?q=1&r=a%20b', '/bin', '/count', '/count', '/text', '/nope'].each do |p|
    Net::HTTP.get_response(URI(U + p), {'Authorization' => 'Bearer s3cr3t-token', 'Accept-Encoding' => 'gzip'})
  end
  Net::HTTP.post(URI(U + '/items'), '{"id":7,"tag":"x"}', 'Content-Type' => 'application/json')
end
