using System.Net;
using System.Net.Sockets;
using NUnit.Framework;
using RedisFailover.Monitor.Redis;
using RedisFailover.UnitTests.ZooKeeper;

namespace RedisFailover.UnitTests.Monitor;

[TestFixture]
[FixtureLifeCycle(LifeCycle.InstancePerTestCase)]
public sealed class NodeNamesTests
{
    private static readonly NodeAddress s_named = new("redis-1", 6379), s_reported = new("10.0.0.1", 6379), s_moved = new("10.0.0.2", 6379);

    private readonly ManualTime _time = new();

    [Test]
    public async Task A_name_server_that_hangs_delays_no_answer_once_a_name_is_known_and_is_asked_once()
    {
        var hanging = new TaskCompletionSource<IPAddress[]>(TaskCreationOptions.RunContinuationsAsynchronously);
        int asked = 0;
        var names = new NodeNames([s_named], _time, (_, _)
                => ++asked == 1 ? Task.FromResult<IPAddress[]>([IPAddress.Parse("10.0.0.1")]) : hanging.Task);
        Assert.That(await names.IdentifyAsync(s_reported, default), Is.EqualTo(s_named));

        _time.Advance(TimeSpan.FromMinutes(1));
        ValueTask<NodeAddress> meanwhile = names.IdentifyAsync(s_reported, default);
        Assert.That(meanwhile.IsCompletedSuccessfully, "it waited for the name server");
        Assert.That(await meanwhile, Is.EqualTo(s_named));
        Assert.That(await names.IdentifyAsync(s_reported, default), Is.EqualTo(s_named));
        Assert.That(asked, Is.EqualTo(2));

        hanging.SetResult([IPAddress.Parse("10.0.0.2")]);
        using var deadline = new CancellationTokenSource(TimeSpan.FromSeconds(10));
        while (await names.IdentifyAsync(s_moved, default) != s_named)
        {
            await Task.Delay(1, deadline.Token);
        }

        Assert.That(await names.IdentifyAsync(s_reported, default), Is.EqualTo(s_reported));
    }

    [Test]
    public async Task A_name_that_no_longer_resolves_is_believed_as_it_was()
    {
        int asked = 0;
        var names = new NodeNames([s_named], _time, (_, _) => ++asked == 1
            ? Task.FromResult<IPAddress[]>([IPAddress.Parse("10.0.0.1")])
            : Task.FromException<IPAddress[]>(new SocketException((int)SocketError.HostNotFound)));
        Assert.That(await names.IdentifyAsync(s_reported, default), Is.EqualTo(s_named));

        _time.Advance(TimeSpan.FromMinutes(1));
        Assert.That(await names.IdentifyAsync(s_reported, default), Is.EqualTo(s_named));
        Assert.That(await names.IdentifyAsync(s_reported, default), Is.EqualTo(s_named));
        Assert.That(asked, Is.EqualTo(2));
    }
}
