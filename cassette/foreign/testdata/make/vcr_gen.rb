require 'vcr'; require 'net/http'
VCR.configure { |c| c.cassette_library_dir = 'out'; c.hook_into :webmock; c.allow_http_connections_when_no_cassette = true }
U = 'http://api.example.com:8123'
VCR.use_cassette('vcr', record: :all) do
  ['/json?q=1&r=a%20b', '/bin', '/count', '/count', '/text', '/nope'].each do |p|
    Net::HTTP.get_response(URI(U + p), {'Authorization' => 'Bearer s3cr3t-token', 'Accept-Encoding' => 'gzip'})
  end
  Net::HTTP.post(URI(U + '/items'), '{"id":7,"tag":"x"}', 'Content-Type' => 'application/json')
end
VCR.use_cassette('vcr.zlib', record: :all, serialize_with: :compressed) do
  Net::HTTP.get_response(URI(U + '/text'))
end
VCR.use_cassette('vcr.base64', record: :all, preserve_exact_body_bytes: true, serialize_with: :json) do
  Net::HTTP.get_response(URI(U + '/bin'))
  Net::HTTP.get_response(URI(U + '/text'))
end
VCR.configure { |c| c.filter_sensitive_data('<API_KEY>') { 'k-12345678' } }
VCR.use_cassette('vcr.filtered', record: :all) do
  Net::HTTP.get_response(URI(U + '/nope?key=k-12345678'), {'X-Api-Token' => 'k-12345678'})
  Net::HTTP.post(URI(U + '/items'), '{"key":"k-12345678"}', 'Content-Type' => 'application/json')
end
