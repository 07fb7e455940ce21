using NUnit.Framework;

namespace RedisFailover.UnitTests.Core;

[TestFixture]
public sealed class NodeAddressTests
{
    [TestCase("localhost:6379", "localhost", 6379)]
    [TestCase(" Redis-1.Example.com:1 ", "redis-1.example.com", 1)]
    [TestCase("10.0.0.1:65535", "10.0.0.1", 65535)]
    [TestCase("[::1]:6379", "::1", 6379)]
    [TestCase("[FE80::1]:7", "fe80::1", 7)]
    public void Hosts_addresses_and_IPv6_are_read(string text, string host, int port)
    {
        NodeAddress address = NodeAddress.Parse(text);

        Assert.Multiple(() =>
        {
            Assert.That(address, Is.EqualTo(new NodeAddress(host, port)));
            Assert.That(NodeAddress.Parse(address.ToString()), Is.EqualTo(address));
        });
    }

    [TestCase("")]
    [TestCase("localhost")]
    [TestCase(":6379")]
    [TestCase("a:0")]
    [TestCase("a:65536")]
    [TestCase("a:-1")]
    [TestCase("a: 1")]
    [TestCase("::1:6379")]
    [TestCase("[::1]")]
    [TestCase("[a]:1")]
    [TestCase("a b:1")]
    [TestCase("a/b:1")]
    public void Anything_else_is_refused_with_what_is_allowed(string text)
        => Assert.That(() => NodeAddress.Parse(text), Throws.TypeOf<FormatException>().With.Message.Contains("host:port"));

    [Test]
    public void They_have_an_order() => Assert.That(
        new[] { "b:1", "a:2", "a:10", "a:1" }.Select(NodeAddress.Parse).Order().Select(a => a.ToString()),
        Is.EqualTo(["a:1", "a:2", "a:10", "b:1"]));
}
