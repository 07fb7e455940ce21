using System.Net;
using System.Text.Json;
using NUnit.Framework;
using RedisFailover.IntegrationTests.Harness;

namespace RedisFailover.IntegrationTests.Client;

/// <summary>The web application of src/Samples/Web as a process of its own, beside a real cluster.</summary>
[TestFixture]
public sealed class WebSampleTests
{
    [Test]
    public async Task It_answers_across_the_loss_of_the_master()
    {
        await using Cluster cluster = await Cluster.StartAsync(new ClusterOptions { Monitors = 1 });
        Topology first = await cluster.WaitUntilWholeAsync(TimeSpan.FromSeconds(60));
        int port = FreePorts.Next();
        await using ChildProcess web = await ChildProcess.StartAsync(new ChildProcessOptions(
            "web", Programs.Dotnet,
                [Programs.WebSample, "--urls", $"http://127.0.0.1:{port}", "--RedisFailover:ZooKeeper", cluster.ConnectionString,
                    "--RedisFailover:WriteWait", "00:01:00"]));
        using HttpClient http = new() { BaseAddress = new Uri($"http://127.0.0.1:{port}"), Timeout = TimeSpan.FromSeconds(90) };
        await Eventually.HoldsAsync("it is healthy", ct
            => http.GetStringAsync("health", ct), text => text == "Healthy", TimeSpan.FromSeconds(60), () => web.Tail());

        Assert.That(await PutAsync(http, "before"), Is.EqualTo(HttpStatusCode.NoContent));
        Assert.That(await http.GetStringAsync("keys/greeting?latest=true"), Is.EqualTo("before"));
        Assert.That((await http.GetAsync("keys/nothing")).StatusCode, Is.EqualTo(HttpStatusCode.NotFound));
        Assert.That(await MasterAsync(http), Is.EqualTo(first.Master!.ToString()));

        cluster.Node(first.Master!).Kill();
        Assert.That(await PutAsync(http, "after"), Is.EqualTo(HttpStatusCode.NoContent), "it waited for the next master");
        Assert.That(await http.GetStringAsync("keys/greeting?latest=true"), Is.EqualTo("after"));
        Assert.That(await MasterAsync(http), Is.Not.EqualTo(first.Master!.ToString()));
        await Eventually.HoldsAsync("it is healthy again", ct
            => http.GetStringAsync("health", ct), text => text == "Healthy", TimeSpan.FromSeconds(60), () => web.Tail());
    }

    [Test]
    public async Task With_wrong_settings_it_does_not_start_and_names_each()
    {
        await using ChildProcess web = await ChildProcess.StartAsync(new ChildProcessOptions(
            "web", Programs.Dotnet,
                [Programs.WebSample, "--urls", $"http://127.0.0.1:{FreePorts.Next()}", "--RedisFailover:WriteWait", "-00:00:01"]));
        Assert.That(await web.WaitForExitAsync(), Is.Not.Zero);
        string said = web.Tail(1000);
        Assert.That(said,
            Does.Contain("RedisFailover:WriteWait is -00:00:01; allowed: 00:00:00 to 00:10:00.")
                .And.Contain("RedisFailover:ZooKeeper is not given"));
    }

    private static async Task<HttpStatusCode> PutAsync(HttpClient http, string value)
    {
        using HttpResponseMessage response = await http.PutAsync("keys/greeting", new StringContent(value));
        return response.StatusCode;
    }

    private static async Task<string?> MasterAsync(HttpClient http)
    {
        using JsonDocument topology = JsonDocument.Parse(await http.GetStringAsync("topology"));
        return topology.RootElement.GetProperty("master").GetString();
    }
}
