using System.Collections.Concurrent;
using System.Net;
using System.Text.Json;
using Microsoft.AspNetCore.SignalR.Client;
using NUnit.Framework;
using RedisFailover.IntegrationTests.Harness;

namespace RedisFailover.EcosystemTests;

/// <summary>The web application of src/Samples/Web, two processes of it, through a switchover and the loss of the master.</summary>
[TestFixture]
public sealed class WebSampleTests
{
    [Test]
    public async Task Session_cache_chat_jobs_and_locks_live_through_a_switchover_and_a_lost_and_a_silent_master()
    {
        await using Cluster cluster = await Cluster.StartAsync(new ClusterOptions
        {
            Monitors = 1, MonitorOptions = new MonitorOptions { More = ["--write-safety", "replicated"] },
        });
        await cluster.WaitUntilWholeAsync(TimeSpan.FromSeconds(60));
        (ChildProcess web, HttpClient http) = await StartAsync(cluster);
        (ChildProcess other, HttpClient there) = await StartAsync(cluster);
        await using ChildProcess first = web;
        await using ChildProcess second = other;
        var heard = new ConcurrentQueue<string>();
        await using HubConnection listener = new HubConnectionBuilder().WithUrl(new Uri(there.BaseAddress!, "chat")).Build();
        listener.On<string>("said", heard.Enqueue);
        await listener.StartAsync();
        await using HubConnection speaker = new HubConnectionBuilder().WithUrl(new Uri(http.BaseAddress!, "chat")).Build();
        await speaker.StartAsync();

        Assert.That(await http.GetStringAsync(""), Is.EqualTo("visit 1"));
        await RoundAsync("before", 2);
        CliResult switched = await CliProcess.RunAsync(["switchover", "--zk", cluster.ConnectionString]);
        Assert.That(switched.ExitCode, Is.Zero, switched.ToString());
        await RoundAsync("after the switchover", 3);

        Topology topology = await cluster.WaitUntilWholeAsync(TimeSpan.FromSeconds(60));
        await cluster.Node(topology.Master!).KillAsync();
        await RoundAsync("after the loss", 4);

        await cluster.Node(topology.Master!).RestartAsync();
        topology = await cluster.WaitUntilWholeAsync(TimeSpan.FromSeconds(60));
        cluster.Node(topology.Master!).Freeze();
        await RoundAsync("after the silence", 5);
        cluster.Node(topology.Master!).Thaw();
        using JsonDocument account = JsonDocument.Parse(await http.GetStringAsync("orders"));
        Assert.That(account.RootElement.GetProperty("acknowledged").GetInt32(), Is.EqualTo(20));
        Assert.That(account.RootElement.GetProperty("lost").GetArrayLength(), Is.Zero);

        async Task RoundAsync(string name, int visit)
        {
            // With a replica in step for WAIT, whatever has just happened.
            await Eventually.HoldsAsync(
                "an order is confirmed", _ => PutAsync($"orders/{name}-0?safe=true", ""), code => code == HttpStatusCode.NoContent,
                TimeSpan.FromSeconds(60), () => web.Tail());
            for (int i = 1; i < 5; i++)
            {
                Assert.That(await PutAsync($"orders/{name}-{i}?safe=true", ""), Is.EqualTo(HttpStatusCode.NoContent), name);
            }

            Assert.That(await http.GetStringAsync(""), Is.EqualTo($"visit {visit}"), name);
            Assert.That(await PutAsync("cached/greeting", name), Is.EqualTo(HttpStatusCode.NoContent));
            await Eventually.HoldsAsync("the cache has it", ct => there.GetStringAsync("cached/greeting", ct), text => text == name);
            await Eventually.HoldsAsync(
                "it is heard through the other process",
                async ct =>
                {
                    await speaker.InvokeAsync("Say", name, ct);
                    return string.Join(", ", heard.Distinct());
                },
                said => said.Contains(name, StringComparison.Ordinal), TimeSpan.FromSeconds(30),
                () => $"{listener.State}, {speaker.State}\n{web.Tail()}{other.Tail()}{cluster.Explain()}");
            await Eventually.HoldsAsync(
                "the job has run", ct => http.GetStringAsync($"orders/{name}-4", ct), text => text.Contains("\"shipped\":true"),
                TimeSpan.FromSeconds(60), () => web.Tail(200) + other.Tail(200));
        }

        async Task<HttpStatusCode> PutAsync(string path, string value)
        {
            using HttpResponseMessage response = await http.PutAsync(path, new StringContent(value));
            return response.StatusCode;
        }
    }

    private static async Task<(ChildProcess Process, HttpClient Http)> StartAsync(Cluster cluster)
    {
        int port = FreePorts.Next();
        ChildProcess web = await ChildProcess.StartAsync(new ChildProcessOptions(
            "web", Programs.Dotnet,
            [Programs.WebSample, "--urls", $"http://127.0.0.1:{port}", "--RedisFailover:ZooKeeper", cluster.ConnectionString,
                "--RedisFailover:WriteWait", "00:00:30", "--RedisFailover:ConnectTimeout", "00:01:00",
                "--Logging:LogLevel:Microsoft.AspNetCore", "Warning"]));
        HttpClient http = new(new HttpClientHandler { CookieContainer = new CookieContainer() })
        {
            BaseAddress = new Uri($"http://127.0.0.1:{port}/"), Timeout = TimeSpan.FromSeconds(60),
        };
        await Eventually.HoldsAsync(
            "it is healthy", ct => http.GetStringAsync("health", ct), text => text == "Healthy", TimeSpan.FromSeconds(120),
            () => web.Tail());
        return (web, http);
    }
}
