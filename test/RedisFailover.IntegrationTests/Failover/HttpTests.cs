using System.Net;
using System.Net.Http.Headers;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using NUnit.Framework;
using RedisFailover.IntegrationTests.Harness;
using RedisFailover.IntegrationTests.Operation;

namespace RedisFailover.IntegrationTests.Failover;

/// <summary>What a monitor answers by HTTP, on real servers.</summary>
[TestFixture]
[Parallelizable(ParallelScope.All)]
public sealed class HttpTests
{
    [Test]
    public async Task It_tells_health_topology_problems_history_and_which_node_is_what_through_a_failover()
    {
        await using Cluster cluster = await Cluster.StartAsync(new ClusterOptions { Monitors = 0 });
        (MonitorProcess monitor, HttpClient http) = await StartMonitorAsync(cluster);
        using HttpClient client = http;
        Topology before = await cluster.WaitUntilWholeAsync(Eventually.DefaultDeadline);
        string name = monitor.Options.ZnodePath!.TrimStart('/').Split('/')[^1];
        string nodes = $"clusters/{name}/nodes/";
        await EventuallyAsync(client, $"{nodes}{before.Master}/master", HttpStatusCode.OK);
        await EventuallyAsync(client, "health/ready", HttpStatusCode.OK);
        await EventuallyAsync(client, $"{nodes}{before.Replicas[0]}/replica?max-lag=1mb", HttpStatusCode.OK);
        Assert.That(await StatusAsync(client, $"{nodes}{before.Replicas[0]}/master"), Is.EqualTo(HttpStatusCode.ServiceUnavailable));
        Assert.That(await StatusAsync(client, $"{nodes}{before.Replicas[0]}/replica?max-lag=x"), Is.EqualTo(HttpStatusCode.BadRequest));
        Assert.That(await StatusAsync(client, "clusters/other"), Is.EqualTo(HttpStatusCode.NotFound));

        await cluster.Redis.Single(redis => redis.Address == before.Master).KillAsync();
        Topology after = await cluster.WaitForAsync(
            "a replica is master", topology => topology.State == TopologyState.Ok && topology.Master is { } now && now != before.Master);

        await EventuallyAsync(client, $"{nodes}{after.Master}/master", HttpStatusCode.OK);
        await EventuallyAsync(client, $"{nodes}{before.Master}/master", HttpStatusCode.ServiceUnavailable);
        using JsonDocument told = JsonDocument.Parse(await client.GetStringAsync($"clusters/{name}"));
        Assert.That(told.RootElement.GetProperty("topology").GetProperty("master").GetString(), Is.EqualTo(after.Master!.ToString()));
        Assert.That(told.RootElement.GetProperty("leader").ValueKind, Is.EqualTo(JsonValueKind.Object));
        await EventuallyAsync(client, "problems", text => text.Contains("\"node-unavailable\"", StringComparison.Ordinal));
        await EventuallyAsync(client, $"clusters/{name}/history", text => text.Contains("\"failover\"", StringComparison.Ordinal));
        foreach (string line in new[]
        {
            $"node=\"{after.Master}\",role=\"master\"}} 1",
            "kind=\"failover\"} 1",
            "code=\"node-unavailable\"",
            "redis_failover_zookeeper_session_events_total{otel_scope_name=",
            "redis_failover_lease_length_seconds",
            "redis_failover_replica_lag_seconds",
        })
        {
            await EventuallyAsync(client, "metrics", text => text.Contains(line, StringComparison.Ordinal));
        }

        foreach ((HttpMethod method, HttpStatusCode status) in new[]
        {
            (HttpMethod.Head, HttpStatusCode.OK), (HttpMethod.Options, HttpStatusCode.OK), (HttpMethod.Post, HttpStatusCode.NotFound),
        })
        {
            using HttpRequestMessage request = new(method, "health/live");
            using HttpResponseMessage answer = await client.SendAsync(request);
            Assert.That(answer.StatusCode, Is.EqualTo(status), method.Method);
        }

        using JsonDocument description = JsonDocument.Parse(await client.GetStringAsync("openapi.json"));
        Assert.That(description.RootElement.GetProperty("paths").TryGetProperty("/clusters/{name}", out _), Is.True);
    }

    [Test]
    public async Task A_port_that_is_taken_is_a_problem_and_no_end_and_HTTP_is_answered_once_it_is_free()
    {
        await using Cluster cluster = await Cluster.StartAsync(new ClusterOptions { Monitors = 0 });
        int port = FreePorts.Next();
        using var taken = new TcpListener(IPAddress.Loopback, port);
        taken.Start();
        (MonitorProcess monitor, HttpClient http) = await StartMonitorAsync(cluster, port);
        using HttpClient client = http;
        await monitor.Process.WaitForLineAsync(line
            => line.Contains("http-unavailable", StringComparison.Ordinal), TimeSpan.FromSeconds(60));
        await cluster.WaitUntilWholeAsync(Eventually.DefaultDeadline);

        taken.Stop();
        await EventuallyAsync(client, "health/live", HttpStatusCode.OK);
    }

    [Test]
    public async Task With_a_token_only_the_health_checks_are_answered_without_it_and_a_slow_or_huge_request_is_cut_off()
    {
        await using Cluster cluster = await Cluster.StartAsync(new ClusterOptions { Monitors = 0 });
        using var folder = new TemporaryDirectory("token");
        await File.WriteAllTextAsync(folder.File("token"), "s3cret\n");
        int port = FreePorts.Next();
        (_, HttpClient http) = await StartMonitorAsync(cluster, port, "--http-token-file", folder.File("token"));
        using HttpClient client = http;
        await EventuallyAsync(client, "health/live", HttpStatusCode.OK);
        Assert.That(await StatusAsync(client, "problems"), Is.EqualTo(HttpStatusCode.Unauthorized));
        client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", "s3cret");
        Assert.That(await StatusAsync(client, "problems"), Is.EqualTo(HttpStatusCode.OK));
        Assert.That(await StatusAsync(client, new string('x', 10_000)), Is.EqualTo(HttpStatusCode.RequestUriTooLong));

        // A rotation: both for a while, then the new one alone.
        await File.WriteAllTextAsync(folder.File("token"), "n3w\ns3cret\n");
        client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", "n3w");
        await EventuallyAsync(client, "problems", HttpStatusCode.OK);
        client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", "s3cret");
        Assert.That(await StatusAsync(client, "problems"), Is.EqualTo(HttpStatusCode.OK));
        await File.WriteAllTextAsync(folder.File("token"), "n3w\n");
        await EventuallyAsync(client, "problems", HttpStatusCode.Unauthorized);

        // A request that never ends: the server ends it.
        using var slow = new TcpClient();
        await slow.ConnectAsync(IPAddress.Loopback, port);
        await slow.GetStream().WriteAsync(Encoding.ASCII.GetBytes("GET /health HTTP/1.1\r\nHost: x\r\n"));
        using var deadline = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        byte[] buffer = new byte[4096];
        while (await slow.GetStream().ReadAsync(buffer, deadline.Token) > 0)
        {
        }
    }

    [Test]
    public async Task It_is_answered_by_TLS_and_the_certificate_is_read_again()
    {
        await using Cluster cluster = await Cluster.StartAsync(new ClusterOptions { Monitors = 0 });
        using Certificates certificates = await Certificates.MakeAsync();
        (string certificate, string key) = await certificates.IssueAsync("monitor");
        int port = FreePorts.Next();
        await cluster.StartMonitorAsync(options => options with
        {
            More = ["--http", $"https://127.0.0.1:{port}", "--http-cert-file", certificate, "--http-key-file", key],
        });
        string? shown = null;
        async Task<HttpStatusCode> GetAsync(CancellationToken ct)
        {
            using var handler = new HttpClientHandler
            {
                ServerCertificateCustomValidationCallback = (_, given, _, _) => (shown = given!.Thumbprint) is not null,
            };
            using var client = new HttpClient(handler);
            using HttpResponseMessage response = await client.GetAsync(new Uri($"https://127.0.0.1:{port}/health/live"), ct);
            return response.StatusCode;
        }

        await Eventually.HoldsAsync("it answers", GetAsync, status => status == HttpStatusCode.OK);
        string first = shown!;
        await certificates.IssueAsync("monitor");
        await Eventually.HoldsAsync("it shows the new one", GetAsync, _ => shown != first);
    }

    private static async Task<(MonitorProcess Monitor, HttpClient Client)> StartMonitorAsync(Cluster cluster, int? port = null,
        params string[] more)
    {
        string address = $"http://127.0.0.1:{port ?? FreePorts.Next()}";
        MonitorProcess monitor = await cluster.StartMonitorAsync(options => options with { More = ["--http", address, .. more] });
        return (monitor, new HttpClient { BaseAddress = new Uri(address + "/"), Timeout = TimeSpan.FromSeconds(30) });
    }

    private static async Task<HttpStatusCode> StatusAsync(HttpClient client, string path)
    {
        using HttpResponseMessage response = await client.GetAsync(path);
        return response.StatusCode;
    }

    private static Task EventuallyAsync(HttpClient client, string path, HttpStatusCode expected)
        => EventuallyAsync(client, path, response => response.StatusCode == expected);

    private static Task EventuallyAsync(HttpClient client, string path, Func<string, bool> fits)
        => EventuallyAsync(client, path, (response, text) => response.IsSuccessStatusCode && fits(text));

    private static Task EventuallyAsync(HttpClient client, string path, Func<HttpResponseMessage, bool> fits)
        => EventuallyAsync(client, path, (response, _) => fits(response));

    private static async Task EventuallyAsync(HttpClient client, string path, Func<HttpResponseMessage, string, bool> fits)
    {
        string last = "";
        await Eventually.HoldsAsync(
            $"GET {path}",
            async ct =>
            {
                using HttpResponseMessage response = await client.GetAsync(path, ct);
                last = $"{(int)response.StatusCode}: {await response.Content.ReadAsStringAsync(ct)}";
                return fits(response, last);
            },
            static ok => ok,
            explain: () => last);
    }
}
