using System.Collections.Immutable;
using System.Net.Sockets;
using System.Text;
using NUnit.Framework;
using RedisFailover.IntegrationTests.Harness;

namespace RedisFailover.IntegrationTests.Failover;

/// <summary>The monitor under a supervisor that speaks as systemd does.</summary>
[TestFixture]
[Parallelizable(ParallelScope.All)]
public sealed class ServiceTests
{
    [Test]
    public async Task It_says_when_it_is_ready_that_it_works_and_that_it_stops()
    {
        using var folder = new TemporaryDirectory("notify");
        using var supervisor = new Socket(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified);
        supervisor.Bind(new UnixDomainSocketEndPoint(folder.File("socket")));
        await using MonitorProcess monitor = await MonitorProcess.StartAsync(new MonitorOptions
        {
            Id = "m1",
            Nodes = [new NodeAddress("127.0.0.1", FreePorts.Next())],
            ZooKeepers = $"127.0.0.1:{FreePorts.Next()}",
            Environment = ImmutableDictionary<string, string?>.Empty
                .Add("NOTIFY_SOCKET", folder.File("socket")).Add("WATCHDOG_USEC", "900000"),
        });
        using var deadline = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        Assert.That(await NextAsync(supervisor, deadline.Token), Is.EqualTo("READY=1"), monitor.Process.Tail());
        for (int i = 0; i < 3; i++)
        {
            Assert.That(await NextAsync(supervisor, deadline.Token), Is.EqualTo("WATCHDOG=1"), monitor.Process.Tail());
        }

        monitor.Process.Terminate();
        string last;
        while ((last = await NextAsync(supervisor, deadline.Token)) == "WATCHDOG=1")
        {
        }

        Assert.That(last, Is.EqualTo("STOPPING=1"));
        Assert.That(await monitor.Process.WaitForExitAsync(), Is.Zero, monitor.Process.Tail());
    }

    private static async Task<string> NextAsync(Socket socket, CancellationToken ct)
    {
        byte[] buffer = new byte[256];
        return Encoding.UTF8.GetString(buffer, 0, await socket.ReceiveAsync(buffer, ct));
    }
}
