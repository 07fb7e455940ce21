using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Options;
using NUnit.Framework;
using RedisFailover.Client;
using RedisFailover.Client.Extensions;
using StackExchange.Redis;

namespace RedisFailover.UnitTests.Client;

/// <summary>The client in a host: its settings, its start and its health.</summary>
[TestFixture]
public sealed class ExtensionsTests
{
    [Test]
    public void Settings_become_options_and_what_is_not_set_keeps_its_default()
    {
        FailoverOptions options = Settings(
            ("ZooKeeper", "zk1:2181/r"), ("WriteWait", "00:00:03"), ("ReadFrom", "Nearest"), ("MaxReplicaLag", "00:00:00.250"),
                ("RetryAmbiguous", "true"),
            ("Zone", "a"), ("Zones:a:0", "redis1:6379"), ("Zones:b:0", "redis2:6379")).ToOptions();
        Assert.That(options.WriteWait, Is.EqualTo(TimeSpan.FromSeconds(3)));
        Assert.That(options.ReadFrom, Is.EqualTo(ReadFrom.Nearest));
        Assert.That(options.MaxReplicaLag, Is.EqualTo(TimeSpan.FromMilliseconds(250)));
        Assert.That(options.RetryAmbiguous, Is.EqualTo(RetryCategory.All));
        Assert.That(options.OperationTimeout, Is.EqualTo(new FailoverOptions().OperationTimeout));
        Assert.That(options.PreferNode!(new NodeAddress("redis1", 6379)), Is.True);
        Assert.That(options.PreferNode!(new NodeAddress("redis2", 6379)), Is.False);
    }

    [Test]
    public void Each_wrong_setting_has_one_line_that_names_it()
    {
        OptionsValidationException failure = Assert.Throws<OptionsValidationException>(
            () => Settings(("WriteWait", "-00:00:01"), ("OperationTimeout", "00:00:00.001"), ("Zone", "c"), ("Zones:a:0", "redis1:6379")));
        Assert.That(failure.Failures, Is.EqualTo(new[]
        {
            "Redis:ZooKeeper is not given; allowed: the servers and the root of the cluster, zk1:2181,zk2:2181/redis_failover.",
            "Redis:Zone is c; allowed: one of Zones (a).",
            "Redis:WriteWait is -00:00:01; allowed: 00:00:00 to 00:10:00.",
            "Redis:OperationTimeout is 00:00:00.0010000; allowed: 00:00:00.0500000 to 00:10:00.",
        }));
    }

    [Test]
    public void A_setting_that_does_not_exist_or_cannot_be_read_is_named()
    {
        Assert.That(()
            => Settings(("ZooKeeper", "zk1:2181/r"), ("WriteWiat", "00:00:03")),
                Throws.InvalidOperationException.With.Message.Contains("WriteWiat"));
        Assert.That(()
            => Settings(("ZooKeeper", "zk1:2181/r"), ("WriteWait", "soon")),
                Throws.InvalidOperationException.With.Message.Contains("Redis:WriteWait").And.Message.Contains("soon"));
    }

    [Test]
    public void A_host_with_wrong_settings_does_not_start()
    {
        using IHost host = Host(("WriteWait", "-00:00:01"));
        Assert.That(async () => await host.StartAsync(), Throws.TypeOf<OptionsValidationException>());
    }

    [Test]
    public void Whoever_asks_before_the_start_has_it_connected_and_is_told_why_not()
    {
        using IHost host = Host(("ZooKeeper", "127.0.0.1:1/r"), ("ConnectTimeout", "00:00:00.200"));
        Assert.That(() => host.Services.GetRequiredService<FailoverConnection>(), Throws.TypeOf<FailoverConnectException>());
    }

    [Test]
    public void Several_clusters_have_services_by_name_and_settings_of_their_own()
    {
        ServiceCollection services = new();
        services.AddRedisFailover("orders", Section(("ZooKeeper", "zk1:2181/orders")));
        services.AddRedisFailover("carts", Section(("ZooKeeper", "zk1:2181/carts"), ("WriteWait", "00:00:03")));
        services.AddRedisFailover("carts", Section(("ZooKeeper", "twice:2181/carts")));
        using ServiceProvider provider = services.BuildServiceProvider();
        IOptionsMonitor<RedisFailoverSettings> settings = provider.GetRequiredService<IOptionsMonitor<RedisFailoverSettings>>();
        Assert.That(settings.Get("orders").ZooKeeper, Is.EqualTo("zk1:2181/orders"));
        Assert.That(settings.Get("carts").WriteWait, Is.EqualTo(TimeSpan.FromSeconds(3)));
        foreach (
            Type service in (Type[])[typeof(FailoverConnection), typeof(IConnectionMultiplexer), typeof(IDatabase), typeof(ISubscriber)])
        {
            Assert.That(services.Where(known => known.ServiceType == service).Select(known => known.ServiceKey),
                Is.EqualTo(new[] { "orders", "carts" }));
        }

        Assert.That(
            provider.GetRequiredService<IOptions<HealthCheckServiceOptions>>().Value.Registrations.Select(check => check.Name),
            Is.EqualTo(new[] { "redis-failover-orders", "redis-failover-carts" }));

        static IConfiguration Section(params (string Key, string Value)[] settings)
            => new ConfigurationBuilder()
                .AddInMemoryCollection(settings.Select(setting => KeyValuePair.Create(setting.Key, (string?)setting.Value))).Build();
    }

    [Test]
    public void A_container_may_be_disposed_without_awaiting()
    {
        ServiceCollection services = new();
        services.AddLogging();
        services.AddRedisFailover(new ConfigurationBuilder().AddInMemoryCollection([new("ZooKeeper", "127.0.0.1:1/r")]).Build());
        ServiceProvider provider = services.BuildServiceProvider();
        Assert.That(provider.GetServices<IHostedService>(), Is.Not.Empty);
        Assert.That(provider.Dispose, Throws.Nothing);
    }

    [TestCase(true, true, 1, ExpectedResult = HealthStatus.Healthy)]
    [TestCase(false, true, 1, ExpectedResult = HealthStatus.Degraded)]
    [TestCase(true, false, 1, ExpectedResult = HealthStatus.Degraded)]
    [TestCase(true, true, 60, ExpectedResult = HealthStatus.Degraded)]
    [TestCase(false, false, 1, ExpectedResult = HealthStatus.Unhealthy)]
    public HealthStatus Health(bool writes, bool reads, int secondsOfSilence)
        => RedisFailoverHealthCheck.Judge(Status(writes, reads, secondsOfSilence));

    [Test]
    public void What_the_health_check_says() => Assert.Multiple(() =>
    {
        Assert.That(RedisFailoverHealthCheck.Describe(Status(true, true, 1)), Is.EqualTo("epoch 7: the master is redis1:6379"));
        Assert.That(RedisFailoverHealthCheck.Describe(Status(false, false, 60)),
            Is.EqualTo("epoch 7: the master redis1:6379 does not answer; no node to read from; ZooKeeper is not heard of"));
        Assert.That(
            RedisFailoverHealthCheck.Describe(
                Status(false, true,
                    1) with { Unreachable = [new(new NodeAddress("redis1", 6379), "it refuses the password (WRONGPASS)"),
                            new(new NodeAddress("redis2", 6379), "connection refused")] }),
            Is.EqualTo(
                "epoch 7: the master redis1:6379 does not answer: it refuses the password (WRONGPASS); not connected to redis2:6379: "
                    + "connection refused"));
    });

    private static FailoverStatus Status(bool writes, bool reads, int secondsOfSilence) => new()
    {
        Topology = new Topology { Epoch = 7, Master = new NodeAddress("redis1", 6379), State = TopologyState.Ok },
        TakesWrites = writes,
        TakesReads = reads,
        Fenced = false,
        SinceZooKeeperContact = TimeSpan.FromSeconds(secondsOfSilence),
        SessionTimeout = TimeSpan.FromSeconds(4),
    };

    private static RedisFailoverSettings Settings(params (string Key, string Value)[] settings)
    {
        using IHost host = Host(settings);
        return host.Services.GetRequiredService<IOptions<RedisFailoverSettings>>().Value;
    }

    private static IHost Host(params (string Key, string Value)[] settings)
    {
        HostApplicationBuilder builder = Microsoft.Extensions.Hosting.Host.CreateEmptyApplicationBuilder(null);
        builder.Configuration.AddInMemoryCollection(
            settings.Select(setting => KeyValuePair.Create("Redis:" + setting.Key, (string?)setting.Value)));
        builder.Services.AddRedisFailover(builder.Configuration.GetSection("Redis"));
        return builder.Build();
    }
}
